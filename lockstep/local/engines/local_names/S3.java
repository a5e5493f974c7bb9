package lockstep.engines;

import java.io.Reader;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import org.gaul.s3proxy.Main;
import org.gaul.s3proxy.S3Proxy;
import org.gaul.s3proxy.blobstore.BlobStore;
import org.gaul.shaded.org.eclipse.jetty.http.HttpFields;
import org.gaul.shaded.org.eclipse.jetty.io.Content;
import org.gaul.shaded.org.eclipse.jetty.server.Handler;
import org.gaul.shaded.org.eclipse.jetty.server.Request;
import org.gaul.shaded.org.eclipse.jetty.server.Response;
import org.gaul.shaded.org.eclipse.jetty.server.Server;
import org.gaul.shaded.org.eclipse.jetty.util.Callback;

/** S3Proxy for local host names only. It has no option for that. */
public final class S3 {

    private S3() {}

    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        try (Reader file = Files.newBufferedReader(Path.of(arguments[0]))) {
            settings.load(file);
        }
        Method store = Main.class.getDeclaredMethod("createBlobStore", Properties.class);
        store.setAccessible(true);
        S3Proxy engine = S3Proxy.Builder.fromProperties(settings)
                .blobStore((BlobStore) store.invoke(null, settings))
                .build();
        Field field = S3Proxy.class.getDeclaredField("server");
        field.setAccessible(true);
        Server server = (Server) field.get(engine);
        server.setHandler(new LocalNamesOnly(server.getHandler()));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(engine)));
        try {
            engine.start();
        } catch (Exception failure) {
            failure.printStackTrace();
            System.exit(1);
        }
    }

    private static void stop(S3Proxy engine) {
        try {
            engine.stop();
        } catch (Exception failure) {
            failure.printStackTrace();
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
