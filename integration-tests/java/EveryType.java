import java.sql.Array;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Struct;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Calendar;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TimeZone;

/** The rows of a statement as text, a line each, columns separated by tabs. Arguments: host:port, the statement, properties (name=value). */
public class EveryType {
    public static void main(String[] args) throws Exception {
        var properties = new Properties();
        properties.setProperty("useEncryption", "false");
        for (int i = 2; i < args.length; i++) {
            var property = args[i].split("=", 2);
            properties.setProperty(property[0], property[1]);
        }
        try (var connection = DriverManager.getConnection("jdbc:arrow-flight-sql://" + args[0], properties);
                var statement = connection.createStatement();
                var result = statement.executeQuery(args[1])) {
            int columns = result.getMetaData().getColumnCount();
            while (result.next()) {
                List<String> texts = new ArrayList<>();
                for (int column = 1; column <= columns; column++) {
                    texts.add(text(result, column));
                }
                System.out.println("row\t" + String.join("\t", texts));
            }
        }
    }

    static String text(ResultSet result, int column) throws SQLException {
        var utc = Calendar.getInstance(TimeZone.getTimeZone("UTC"));
        int type = result.getMetaData().getColumnType(column);
        // the driver has no getObject of timestamps with a zone
        Object value = type == Types.TIMESTAMP_WITH_TIMEZONE ? result.getTimestamp(column, utc) : result.getObject(column);
        if (value == null) {
            return "NULL";
        }
        switch (type) {
            case Types.TIMESTAMP, Types.TIMESTAMP_WITH_TIMEZONE: {
                var time = result.getTimestamp(column, utc);
                return String.valueOf(Math.floorDiv(time.getTime(), 1000L) * 1_000_000_000L + time.getNanos());
            }
            case Types.DATE:
                return String.valueOf(Math.floorDiv(result.getDate(column, utc).getTime(), 86_400_000L));
            case Types.TIME:
                return String.valueOf(result.getTime(column, utc).getTime());
            case Types.DECIMAL, Types.NUMERIC:
                return result.getBigDecimal(column).toPlainString();
            default:
                return value instanceof byte[] bytes ? HexFormat.of().formatHex(bytes) : nested(value, false);
        }
    }

    static String nested(Object value, boolean quoted) throws SQLException {
        if (value == null) {
            return "null";
        }
        if (value instanceof Array array) {
            return nested(array.getArray(), true);
        }
        if (value instanceof Object[] items) {
            return items(items);
        }
        if (value instanceof List<?> items) {
            return items(items.toArray());
        }
        if (value instanceof Struct struct) {
            return items(struct.getAttributes());
        }
        if (value instanceof Map<?, ?> map) {
            var texts = new ArrayList<String>();
            for (var entry : map.entrySet()) {
                texts.add(nested(String.valueOf(entry.getKey()), true) + ":" + nested(entry.getValue(), true));
            }
            return "{" + String.join(",", texts) + "}";
        }
        boolean text = quoted && !(value instanceof Number) && !(value instanceof Boolean);
        return text ? "\"" + value + "\"" : String.valueOf(value);
    }

    static String items(Object[] items) throws SQLException {
        var texts = new ArrayList<String>();
        for (var item : items) {
            texts.add(nested(item, true));
        }
        return "[" + String.join(",", texts) + "]";
    }
}
