package backfleet;

import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.Document;
import io.netty.channel.Channel;
import java.util.List;
import org.h2.mvstore.MVStore;

/**
 * mongo-java-server on H2's MVStore in memory, for the tests.
 *
 * <p>Argument: the port, or 0 for a free one. Prints {@code listening PORT} once it accepts connections and runs until
 * it is killed.
 */
public final class MongoMain {

    /** What MongoDB 6.0 reports; drivers refuse servers below wire version 9. */
    private static final class ReportedVersion implements MongoVersion {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(6, 0, 0);
        }

        @Override
        public int getWireVersion() {
            return 17;
        }
    }

    /** Knows {@code hello}, which the library does not: the reply of {@code isMaster} under its new name. */
    private static final class GreetingBackend extends H2Backend {
        GreetingBackend() {
            super(MVStore.open(null));
        }

        @Override
        public Document handleCommand(Channel channel, String databaseName, String command, Document query) {
            if (!command.equalsIgnoreCase("hello")) {
                return super.handleCommand(channel, databaseName, command, query);
            }
            Document reply = super.handleCommand(channel, databaseName, "isMaster", query);
            reply.put("isWritablePrimary", reply.remove("ismaster"));
            reply.put("readOnly", false);
            return reply;
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        int port = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 0;
        GreetingBackend backend = new GreetingBackend();
        backend.version(new ReportedVersion());
        MongoServer server = new MongoServer(backend);
        server.bind("127.0.0.1", port);
        System.out.println("listening " + server.getLocalAddress().getPort());
        System.out.flush();
        Thread.currentThread().join();
    }

    private MongoMain() {}
}
