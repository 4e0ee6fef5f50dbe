import java.sql.DriverManager;
import java.util.Properties;

/** The hosts that were sent the most bytes. Arguments: host:port, and any properties of the driver (name=value). */
public class TopHosts {
    public static void main(String[] args) throws Exception {
        var properties = new Properties();
        properties.setProperty("useEncryption", "false"); // without TLS; leave it out with TLS
        for (int i = 1; i < args.length; i++) {
            var property = args[i].split("=", 2);
            properties.setProperty(property[0], property[1]);
        }
        var sql = "select host, sum(bytes) as total_bytes from kinesis.default.nasahttp group by host order by total_bytes desc limit 2";
        try (var connection = DriverManager.getConnection("jdbc:arrow-flight-sql://" + args[0], properties);
                var statement = connection.createStatement();
                var rows = statement.executeQuery(sql)) {
            while (rows.next()) {
                System.out.println(rows.getString("host") + "\t" + rows.getLong("total_bytes"));
            }
        }
    }
}
