import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.Stores;

/**
 * The counting task on Kafka Streams, exactly_once_v2, one stream thread.
 *
 * <p>PREFIX, BOOTSTRAP, STATE (a folder of its own) and TABLE (rocksdb or memory) are in the environment. The store's cache is off:
 * with it only the last count of a key and commit would be written, and the task wants every one.
 */
public final class CountByKey {
    private CountByKey() {}

    public static void main(String[] arguments) {
        Map<String, String> environment = System.getenv();
        String prefix = environment.get("PREFIX");
        Serde<String> text = Serdes.String();
        KeyValueBytesStoreSupplier table = "memory".equals(environment.get("TABLE"))
            ? Stores.inMemoryKeyValueStore("counts")
            : Stores.persistentKeyValueStore("counts");

        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(prefix + "-in", Consumed.with(text, text))
            .groupByKey(Grouped.with(text, text))
            .count(Materialized.<String, Long>as(table).withKeySerde(text).withValueSerde(Serdes.Long()).withCachingDisabled())
            .toStream()
            .mapValues(count -> Long.toString(count))
            .to(prefix + "-out", Produced.with(text, text));

        Properties settings = new Properties();
        settings.put("application.id", prefix + "-app");
        settings.put("bootstrap.servers", environment.get("BOOTSTRAP"));
        settings.put("processing.guarantee", "exactly_once_v2");
        settings.put("commit.interval.ms", "100");
        settings.put("num.stream.threads", "1");
        settings.put("state.dir", environment.get("STATE"));
        settings.put("auto.offset.reset", "earliest");

        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(error -> StreamThreadExceptionResponse.SHUTDOWN_APPLICATION);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }
}
