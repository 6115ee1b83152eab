#!/bin/sh
# What Spark on Kubernetes runs in its pods: the roles `submit`, `driver` and `executor`.
set -eu
role=$1
shift
# the driver copies the application to where it is
cd /tmp
export HADOOP_USER_NAME=spark SPARK_USER=spark SPARK_HOME=/spark
open=
for p in java.lang java.lang.invoke java.lang.reflect java.io java.net java.nio java.util java.util.concurrent \
  java.util.concurrent.atomic sun.nio.ch sun.nio.cs sun.security.action sun.util.calendar; do
  open="$open --add-opens=java.base/$p=ALL-UNNAMED"
done
open="$open -Djdk.reflect.useDirectMethodHandle=false -Dio.netty.tryReflectionSetAccessible=true -XX:+UseSerialGC"
submit=org.apache.spark.deploy.SparkSubmit
case $role in
submit)
  exec java $open -Xmx512m -cp '/spark/conf:/spark/jars/*' $submit "$@" ;;
driver)
  exec java $open -Xmx768m -cp '/opt/spark/conf:/spark/jars/*' $submit \
    --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
    --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS" \
    --deploy-mode client "$@" ;;
executor)
  options=$(env | sed -n 's/^SPARK_JAVA_OPT_[0-9]*=//p')
  exec java $open $options "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" -cp '/opt/spark/conf:/spark/jars/*' \
    org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
    --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
    --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
    --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME" ;;
*)
  echo "unknown role $role" >&2
  exit 64 ;;
esac
