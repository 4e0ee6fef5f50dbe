import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;

/** The program as users of the JDBC driver meet it. Arguments: host:port, and properties of the driver (name=value). */
public class Driver {
    static String address;
    static Properties given = new Properties();
    static int failed = 0;

    interface Check {
        void run() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        address = args[0];
        given.setProperty("useEncryption", "false");
        for (int i = 1; i < args.length; i++) {
            var property = args[i].split("=", 2);
            given.setProperty(property[0], property[1]);
        }
        check("statements", Driver::statements);
        check("every row, with one endpoint", () -> everyRow(1, false));
        check("every row, an endpoint a shard, one thread", () -> everyRow(1, true));
        check("every row, an endpoint a shard, four threads", () -> everyRow(4, true));
        check("prepared statements", Driver::prepared);
        check("parameters", Driver::parameters);
        check("properties are headers", Driver::headers);
        check("dictionaries", Driver::dictionaries);
        check("metadata: tables and columns", Driver::tables);
        check("metadata: all that the server says of itself", Driver::about);
        check("metadata: keys", Driver::keys);
        check("SET and SHOW", Driver::session);
        check("errors", Driver::errors);
        System.out.println(failed == 0 ? "all passed" : failed + " failed");
        System.exit(failed == 0 ? 0 : 1);
    }

    static void check(String name, Check check) {
        try {
            check.run();
            System.out.println("passed: " + name);
        } catch (Throwable error) {
            failed++;
            System.out.println("FAILED: " + name);
            error.printStackTrace(System.out);
        }
    }

    static void equal(Object got, Object wanted, String what) {
        if (!String.valueOf(got).equals(String.valueOf(wanted))) {
            throw new AssertionError(what + ": got " + got + ", wanted " + wanted);
        }
    }

    static void holds(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    static Connection connect(String... properties) throws SQLException {
        var all = new Properties();
        all.putAll(given);
        for (int i = 0; i < properties.length; i += 2) {
            all.setProperty(properties[i], properties[i + 1]);
        }
        return DriverManager.getConnection("jdbc:arrow-flight-sql://" + address, all);
    }

    /** The rows of a result, which is closed: the driver counts what results of metadata hold, and complains when its connection ends. */
    static List<List<Object>> rows(ResultSet rows) throws SQLException {
        var all = new ArrayList<List<Object>>();
        try (var result = rows) {
            int columns = result.getMetaData().getColumnCount();
            while (result.next()) {
                var row = new ArrayList<Object>();
                for (int column = 1; column <= columns; column++) {
                    row.add(result.getObject(column));
                }
                all.add(row);
            }
        }
        return all;
    }

    static List<List<Object>> query(Connection connection, String sql) throws SQLException {
        try (var statement = connection.createStatement(); var result = statement.executeQuery(sql)) {
            return rows(result);
        }
    }

    static void statements() throws Exception {
        try (var connection = connect(); var statement = connection.createStatement()) {
            holds(connection.isValid(5), "isValid");
            equal(query(connection, "select host, sum(bytes) as t from kinesis.default.nasahttp group by host order by t desc limit 2"),
                    "[[www-relay.pa-x.dec.com, 20395584], [130.110.74.81, 18750653]]", "the article's statement");
            // one statement again and again, and one that is left in the middle
            for (int i = 0; i < 3; i++) {
                try (var result = statement.executeQuery("select count(*), sum(bytes), count(distinct host) from nasahttp")) {
                    equal(rows(result), "[[20000, 321739411, 1656]]", "totals");
                }
            }
            try (var result = statement.executeQuery("select host from nasahttp")) {
                holds(result.next(), "a first row");
            }
            equal(query(connection, "select 1"), "[[1]]", "after an abandoned result");
            holds(statement.execute("select 1 as one"), "execute of a query gives a result set");
            equal(statement.getResultSet().getMetaData().getColumnName(1), "one", "a column's name");
            try (var result = statement.executeQuery("select min(at), cast(1.50 as decimal(10,2)), cast(null as bigint), true from nasahttp")) {
                var types = result.getMetaData();
                equal(types.getColumnType(1), Types.TIMESTAMP, "type of a timestamp");
                equal(types.getColumnType(2), Types.DECIMAL, "type of a decimal");
                equal(types.getColumnType(3), Types.BIGINT, "type of a bigint");
                equal(types.getColumnType(4), Types.BOOLEAN, "type of a boolean");
                holds(result.next(), "one row");
                Timestamp first = result.getTimestamp(1, java.util.Calendar.getInstance(java.util.TimeZone.getTimeZone("UTC")));
                equal(first.toInstant(), Instant.parse("1995-08-01T04:00:01Z"), "the log's first instant");
                equal(result.getBigDecimal(2), new BigDecimal("1.50"), "a decimal");
                equal(result.getLong(3), 0, "NULL as long");
                holds(result.wasNull(), "wasNull");
            }
        }
    }

    static void everyRow(int threads, boolean perShard) throws Exception {
        var endpoints = perShard ? "shard" : "auto";
        try (var connection = connect("threadPoolSize", String.valueOf(threads), "x-shardflight-endpoints", endpoints);
                var statement = connection.createStatement();
                var result = statement.executeQuery("select host, at, request, code, bytes, _shard_id, _row_id from nasahttp")) {
            long rows = 0, bytes = 0;
            var hosts = new TreeSet<String>();
            var shards = new TreeSet<String>();
            var ids = new TreeSet<String>();
            while (result.next()) {
                rows++;
                bytes += result.getLong("bytes");
                hosts.add(result.getString("host"));
                shards.add(result.getString("_shard_id"));
                ids.add(result.getString("_row_id"));
            }
            equal(rows + " " + bytes + " " + hosts.size(), "20000 321739411 1656", "rows, bytes, hosts");
            equal(shards.size(), 4, "shards");
            equal(ids.size(), 20000, "rows that differ");
        }
    }

    static void prepared() throws Exception {
        try (var connection = connect(); var statement = connection.prepareStatement("select count(*) as n from nasahttp where code = 404")) {
            equal(statement.getMetaData().getColumnName(1), "n", "the result is described before it is there");
            equal(statement.getParameterMetaData().getParameterCount(), 0, "parameters");
            for (int i = 0; i < 2; i++) {
                try (var result = statement.executeQuery()) {
                    holds(result.next() && result.getLong(1) > 0, "a count");
                }
            }
        }
    }

    static void parameters() throws Exception {
        try (var connection = connect(); var statement = connection.prepareStatement("select count(*) from nasahttp where code = ? and host <> ?")) {
            equal(statement.getParameterMetaData().getParameterCount(), 2, "parameters");
            equal(statement.getParameterMetaData().getParameterType(1), Types.BIGINT, "type of the first");
            for (var wanted : new long[][] {{404, 187}, {403, 1}, {999, 0}, {404, 187}}) {
                statement.setLong(1, wanted[0]);
                statement.setString(2, "it's \"nobody\"");
                try (var result = statement.executeQuery()) {
                    holds(result.next(), "a row");
                    equal(result.getLong(1), wanted[1], "count of " + wanted[0]);
                }
            }
        }
    }

    static void headers() throws Exception {
        try (var connection = connect("x-shardflight-start", "latest")) {
            equal(query(connection, "select count(*) from nasahttp"), "[[0]]", "nothing is after the newest record");
            equal(query(connection, "/*+ start='trim_horizon' */ select count(*) from nasahttp"), "[[20000]]", "a hint is over a header");
        }
        try (var connection = connect("x-shardflight-timestamp-unit", "declared")) {
            equal(query(connection, "select arrow_typeof(at) from nasahttp limit 1").size(), 1, "one row");
        }
        try (var connection = connect("x-shardflight-freshnes", "latest")) {
            query(connection, "select 1");
            throw new AssertionError("an unknown option was taken");
        } catch (SQLException error) {
            holds(error.toString().contains("freshness"), "the refusal suggests the right name: " + error);
        }
    }

    static void dictionaries() throws Exception {
        var sql = "select arrow_cast(case value % 2 when 0 then 'fizz' else 'buzz' end, 'Dictionary(Int32, Utf8)') as word "
            + "from generate_series(1, 3) order by value";
        try (var connection = connect()) {
            equal(query(connection, sql), "[[buzz], [fizz], [buzz]]", "values, as long as nobody asks for dictionaries");
        }
        // a fault of the driver, which docs/clients/jdbc.md warns of: once it is mended the page can say so
        try (var connection = connect("x-shardflight-dictionaries", "true")) {
            equal(query(connection, sql), "[[0], [1], [0]]", "the driver shows indexes");
        }
    }

    static void tables() throws Exception {
        try (var connection = connect()) {
            var about = connection.getMetaData();
            var catalogs = new ArrayList<Object>();
            for (var row : rows(about.getCatalogs())) {
                catalogs.add(row.get(0));
            }
            equal(catalogs, "[kinesis]", "catalogs");
            var schemas = new TreeSet<Object>();
            for (var row : rows(about.getSchemas())) {
                schemas.add(row.get(0));
            }
            holds(schemas.contains("default") && schemas.contains("system"), "schemas: " + schemas);
            equal(rows(about.getSchemas("kinesis", "def%")).get(0).get(0), "default", "schemas of a pattern");
            var types = new TreeSet<Object>();
            for (var row : rows(about.getTableTypes())) {
                types.add(row.get(0));
            }
            holds(types.contains("BASE TABLE"), "table types: " + types);
            try (var found = about.getTables("kinesis", "default", "nasa%", null)) {
                holds(found.next(), "a table");
                equal(found.getString("TABLE_CAT") + "." + found.getString("TABLE_SCHEM") + "." + found.getString("TABLE_NAME") + " " + found.getString("TABLE_TYPE"),
                        "kinesis.default.nasahttp BASE TABLE", "the table");
                holds(!found.next(), "one table");
            }
            equal(rows(about.getTables(null, null, "no_such%", null)).size(), 0, "tables of no name");
            var columns = new ArrayList<String>();
            try (var found = about.getColumns("kinesis", "default", "nasahttp", "%")) {
                while (found.next()) {
                    columns.add(found.getString("COLUMN_NAME") + " " + found.getInt("DATA_TYPE") + " " + found.getInt("ORDINAL_POSITION"));
                }
            }
            equal(columns, List.of("host " + Types.VARCHAR + " 1", "at " + Types.TIMESTAMP + " 2", "request " + Types.VARCHAR + " 3",
                    "code " + Types.BIGINT + " 4", "bytes " + Types.BIGINT + " 5"), "columns");
        }
    }

    /** Every method of DatabaseMetaData that takes nothing: each must answer. */
    static void about() throws Exception {
        try (var connection = connect()) {
            var about = connection.getMetaData();
            var answers = new TreeMap<String, String>();
            var broken = new ArrayList<String>();
            for (var method : java.sql.DatabaseMetaData.class.getMethods()) {
                if (method.getParameterCount() != 0) {
                    continue;
                }
                try {
                    var answer = method.invoke(about);
                    answers.put(method.getName(), answer instanceof ResultSet result ? rows(result).toString() : String.valueOf(answer));
                } catch (java.lang.reflect.InvocationTargetException error) {
                    broken.add(method.getName() + ": " + error.getCause());
                }
            }
            equal(broken, List.of(), "methods that fail");
            holds(answers.get("getDatabaseProductName").toLowerCase().contains("shardflight"), "product: " + answers);
            holds(!answers.get("getDatabaseProductVersion").isEmpty(), "version");
            equal(answers.get("getIdentifierQuoteString"), "\"", "quote");
            equal(answers.get("isReadOnly"), "false", "read-only connection");
            System.out.println("  methods that answered: " + answers.size());
        }
    }

    static void keys() throws Exception {
        try (var connection = connect()) {
            var about = connection.getMetaData();
            equal(rows(about.getPrimaryKeys("kinesis", "default", "nasahttp")).size(), 0, "primary keys");
            equal(rows(about.getImportedKeys("kinesis", "default", "nasahttp")).size(), 0, "imported keys");
            equal(rows(about.getExportedKeys("kinesis", "default", "nasahttp")).size(), 0, "exported keys");
            equal(rows(about.getCrossReference("kinesis", "default", "nasahttp", "kinesis", "default", "nasahttp")).size(), 0, "cross reference");
            rows(about.getTypeInfo());
        }
    }

    static void session() throws Exception {
        try (var connection = connect(); var statement = connection.createStatement()) {
            statement.execute("set kinesis.freshness = 'cached'");
            holds(query(connection, "show kinesis.freshness").toString().contains("cached"), "what SET set");
            statement.execute("reset kinesis.freshness");
            holds(query(connection, "show kinesis.freshness").toString().contains("latest"), "what RESET left");
        }
    }

    static void errors() throws Exception {
        try (var connection = connect()) {
            for (var wrong : new String[][] {{"select * from no_such_table", "no_such_table"}, {"selec 1", "selec"}, {"select no_such_column from nasahttp", "no_such_column"}}) {
                try {
                    query(connection, wrong[0]);
                    throw new AssertionError("no error: " + wrong[0]);
                } catch (SQLException error) {
                    holds(error.toString().toLowerCase().contains(wrong[1]), wrong[0] + " says " + error);
                }
            }
            equal(query(connection, "select 1"), "[[1]]", "the connection after errors");
        }
    }
}
