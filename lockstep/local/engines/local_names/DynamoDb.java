package lockstep.engines;

import com.amazonaws.services.dynamodbv2.local.main.ServerRunner;
import com.amazonaws.services.dynamodbv2.local.server.DynamoDBProxyServer;
import java.lang.reflect.Field;
import org.eclipse.jetty.http.HttpFields;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.util.Callback;

/** DynamoDB Local on one address, for local host names only. It has no options for either. */
public final class DynamoDb {

    private DynamoDb() {}

    public static void main(String[] arguments) throws Exception {
        DynamoDBProxyServer engine = ServerRunner.createServerFromCommandLineArgs(arguments);
        Field field = DynamoDBProxyServer.class.getDeclaredField("server");
        field.setAccessible(true);
        Server server = (Server) field.get(engine);
        for (Connector connector : server.getConnectors()) {
            ((ServerConnector) connector).setHost(LocalNames.LISTENING);
        }
        server.setHandler(new LocalNamesOnly(server.getHandler()));
        try {
            engine.start();
            engine.join();
        } catch (Exception failure) {
            failure.printStackTrace();
            System.exit(1);
        }
    }

    private static final class LocalNamesOnly extends Handler.Wrapper {

        LocalNamesOnly(Handler handler) {
            super(handler);
        }

        @Override
        public boolean handle(Request request, Response response, Callback callback)
                throws Exception {
            HttpFields headers = request.getHeaders();
            LocalNames.Refusal refusal = LocalNames.refusal(
                    headers.getValuesList("Host"), headers.getValuesList("Origin"));
            if (refusal == null) {
                return super.handle(request, response, callback);
            }
            response.setStatus(refusal.status());
            response.getHeaders().put("Content-Type", "text/plain; charset=utf-8");
            Content.Sink.write(response, true, refusal.text(), callback);
            return true;
        }
    }
}
