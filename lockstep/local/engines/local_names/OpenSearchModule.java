package lockstep.engines;

import java.util.List;
import java.util.function.UnaryOperator;
import org.opensearch.common.util.concurrent.ThreadContext;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.plugins.ActionPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.rest.BytesRestResponse;
import org.opensearch.rest.RestChannel;
import org.opensearch.rest.RestHandler;
import org.opensearch.rest.RestRequest;
import org.opensearch.transport.client.node.NodeClient;

/** A module of OpenSearch: every request must be for a local host name. */
public final class OpenSearchModule extends Plugin implements ActionPlugin {

    @Override
    public UnaryOperator<RestHandler> getRestHandlerWrapper(ThreadContext context) {
        return LocalNamesOnly::new;
    }

    private static final class LocalNamesOnly extends RestHandler.Wrapper {

        private final RestHandler handler;

        LocalNamesOnly(RestHandler handler) {
            super(handler);
            this.handler = handler;
        }

        @Override
        public void handleRequest(RestRequest request, RestChannel channel, NodeClient client)
                throws Exception {
            LocalNames.Refusal refusal =
                    LocalNames.refusal(values(request, "Host"), values(request, "Origin"));
            if (refusal == null) {
                handler.handleRequest(request, channel, client);
                return;
            }
            RestStatus status = RestStatus.fromCode(refusal.status());
            channel.sendResponse(new BytesRestResponse(status, refusal.text()));
        }

        private static List<String> values(RestRequest request, String header) {
            List<String> found = request.getAllHeaderValues(header);
            return found == null ? List.of() : found;
        }
    }
}
