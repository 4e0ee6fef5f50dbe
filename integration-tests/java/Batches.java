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
            staged(connection, rows);
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

    /** A table in memory: made, filled by a batch, read, listed, dropped. */
    static void staged(java.sql.Connection connection, int rows) throws SQLException {
        try (var statement = connection.createStatement()) {
            statement.executeUpdate("create temporary table staged (id integer not null, note varchar(20), at timestamp(6), amount decimal(10,2))");
            try (var insert = connection.prepareStatement("insert into staged (id, note, amount) values (?, ?, ?)")) {
                for (int i = 0; i < rows; i++) {
                    insert.setInt(1, i);
                    insert.setString(2, "note " + i);
                    insert.setBigDecimal(3, new java.math.BigDecimal(i).movePointLeft(2).setScale(2));
                    insert.addBatch();
                }
                equal(Arrays.stream(insert.executeBatch()).sum(), rows, "rows of a batch");
            }
            equal(statement.executeUpdate("create table doubled as select id * 2 as id from staged where id < 10"), 10, "rows of a query");
            try (var found = statement.executeQuery("select count(*), sum(s.id), count(at), count(d.id) from staged s left join doubled d on s.id = d.id")) {
                found.next();
                equal(found.getLong(1), rows, "rows");
                equal(found.getLong(2), (long) rows * (rows - 1) / 2, "their sum");
                equal(found.getLong(3), 0, "a column that was not written");
                equal(found.getLong(4), 10, "of two tables");
            }
            try (var tables = connection.getMetaData().getTables(null, "scratch", "%", new String[] {"LOCAL TEMPORARY"})) {
                int listed = 0;
                while (tables.next()) {
                    listed++;
                }
                equal(listed, 2, "tables that are listed");
            }
            statement.executeUpdate("drop table staged");
            statement.executeUpdate("drop table if exists staged");
        }
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
