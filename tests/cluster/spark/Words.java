import java.util.Arrays;
import java.util.List;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import scala.Tuple2;

/** Counts the words of its arguments on the executors, and prints a line a word: the word, a tabulator, its count. */
public final class Words {
    public static void main(String[] lines) {
        SparkSession session = SparkSession.builder().appName("words").getOrCreate();
        JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
        List<Tuple2<String, Integer>> counts = spark.parallelize(Arrays.asList(lines), 4)
            .flatMap(line -> Arrays.asList(line.split("\\s+")).iterator())
            .mapToPair(word -> new Tuple2<>(word, 1))
            .reduceByKey(Integer::sum)
            .sortByKey()
            .collect();
        counts.forEach(count -> System.out.println("WORD\t" + count._1 + "\t" + count._2));
        session.stop();
    }
}
