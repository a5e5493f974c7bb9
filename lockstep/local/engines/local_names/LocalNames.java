package lockstep.engines;

import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The rules of lockstep/web/local_names.py, for the engines. They also accept every IP address as
 * Host, because functions in containers reach them by many addresses. A browser looks up no name for
 * an address, so no web page can give it another one.
 */
final class LocalNames {

    /** The address that the engine listens on; an option of the virtual machine sets it. */
    static final String LISTENING = System.getProperty("lockstep.host", "127.0.0.1");

    private static final Pattern AUTHORITY =
            Pattern.compile("(?<name>\\[[0-9A-Fa-f:.]+\\]|[^\\s:/\\[\\]]+)(:[0-9]*)?");
    private static final Pattern ADDRESS = Pattern.compile("[0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[.*");
    private static final Pattern LOOPBACK = Pattern.compile("127(\\.(0|[1-9][0-9]{0,2})){3}");
    private static final int MOST_QUOTED = 253;

    /** Why a request is refused, as an HTTP status and one line. */
    record Refusal(int status, String text) {}

    private LocalNames() {}

    /** Why a request with these headers Host and Origin is refused; null if it is not. */
    static Refusal refusal(List<String> hosts, List<String> origins) {
        if (hosts.size() != 1 || !isServed(nameIn(hosts.get(0)))) {
            String text = "the Host header names %s: use localhost or %s\n";
            return new Refusal(421, text.formatted(quoted(hosts), LISTENING));
        }
        if (!origins.stream().allMatch(origin -> isLocal(nameIn(afterScheme(origin))))) {
            String text = "a web page of %s may not use this server of localhost\n";
            return new Refusal(403, text.formatted(quoted(origins)));
        }
        return null;
    }

    private static String afterScheme(String origin) {
        int end = origin.indexOf("://");
        return end < 0 ? "" : origin.substring(end + 3);
    }

    /** The host name in a name with or without a port; empty if there is none. */
    private static String nameIn(String authority) {
        Matcher found = AUTHORITY.matcher(authority);
        return found.matches() ? found.group("name").toLowerCase(Locale.ROOT) : "";
    }

    private static boolean isServed(String name) {
        return isLocal(name) || ADDRESS.matcher(name).matches();
    }

    private static boolean isLocal(String name) {
        return switch (name) {
            // The name of the machine in the containers of Docker Desktop. The internet has no
            // domain "internal", so no web page can have it.
            case "localhost", "[::1]", "host.docker.internal" -> true;
            default -> name.equals(LISTENING)
                    || name.endsWith(".localhost")
                    || LOOPBACK.matcher(name).matches();
        };
    }

    private static String quoted(List<String> values) {
        String all = String.join(" and ", values);
        String some = all.substring(0, Math.min(all.length(), MOST_QUOTED));
        return some.isEmpty() ? "nothing" : some.replaceAll("[^ -~]", "?");
    }
}
