import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.util.Arrays;
import java.util.Properties;

/** Rows that JDBC writes into the table `written` (id bigint, note varchar). Arguments: host:port, how many rows a batch has. */
public class Batches {
    public static void main(String[] args) throws Exception {
        var properties = new Properties();
        properties.setProperty("useEncryption", "false");
        int rows = Integer.parseInt(args[1]);
        try (var connection = DriverManager.getConnection("jdbc:arrow-flight-sql://" + args[0], properties)) {
            try (var statement = connection.createStatement()) {
                equal(statement.executeUpdate("insert into written (id, note) values (-1, 'one'), (-2, null)"), 2, "count of an update");
            }
            try (var statement = connection.prepareStatement("insert into written (id, note) values (?, ?)")) {
                for (int round = 0; round < 2; round++) {
                    for (int i = 0; i < rows; i++) {
                        statement.setLong(1, round * rows + i);
                        statement.setString(2, "note \"" + i + "\" é");
                        statement.addBatch();
                    }
                    // the driver sends a batch as one call, and its answer has one element
                    equal(Arrays.stream(statement.executeBatch()).sum(), rows, "rows of a batch");
                    statement.clearParameters();
                }
                single(statement, 2 * rows);
            }
            try (var statement = connection.prepareStatement("insert into written (id, nowhere) values (?, ?)")) {
                throw new AssertionError("a column that is not there was taken");
            } catch (SQLException error) {
                if (!error.toString().contains("nowhere")) {
                    throw error;
                }
            }
        }
        System.out.println("written");
    }

    static void single(PreparedStatement statement, long id) throws SQLException {
        statement.setLong(1, id);
        statement.setNull(2, java.sql.Types.VARCHAR);
        equal(statement.executeUpdate(), 1, "count of a prepared update");
    }

    static void equal(long got, long wanted, String what) {
        if (got != wanted) {
            throw new AssertionError(what + ": got " + got + ", wanted " + wanted);
        }
    }
}
