// Eclipse Tahu's Java library as edge node (`edge`) or as reader of a group (`read`); JSON lines in and out.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.eclipse.paho.client.mqttv3.MqttClient;
import org.eclipse.paho.client.mqttv3.MqttMessage;
import org.eclipse.paho.client.mqttv3.persist.MemoryPersistence;
import org.eclipse.tahu.edge.EdgeClient;
import org.eclipse.tahu.edge.api.MetricHandler;
import org.eclipse.tahu.message.SparkplugBPayloadDecoder;
import org.eclipse.tahu.message.SparkplugBPayloadEncoder;
import org.eclipse.tahu.message.model.EdgeNodeDescriptor;
import org.eclipse.tahu.message.model.Metric;
import org.eclipse.tahu.message.model.Metric.MetricBuilder;
import org.eclipse.tahu.message.model.MessageType;
import org.eclipse.tahu.message.model.MetaData.MetaDataBuilder;
import org.eclipse.tahu.message.model.MetricDataType;
import org.eclipse.tahu.message.model.PropertyDataType;
import org.eclipse.tahu.message.model.PropertySet.PropertySetBuilder;
import org.eclipse.tahu.message.model.PropertyValue;
import org.eclipse.tahu.message.model.SparkplugBPayload;
import org.eclipse.tahu.message.model.SparkplugBPayload.SparkplugBPayloadBuilder;
import org.eclipse.tahu.message.model.SparkplugBPayloadMap.SparkplugBPayloadMapBuilder;
import org.eclipse.tahu.message.model.SparkplugDescriptor;
import org.eclipse.tahu.message.model.Topic;
import org.eclipse.tahu.model.MetricDataTypeMap;
import org.eclipse.tahu.model.MqttServerDefinition;
import org.eclipse.tahu.mqtt.ClientCallback;
import org.eclipse.tahu.mqtt.MqttClientId;
import org.eclipse.tahu.mqtt.MqttServerName;
import org.eclipse.tahu.mqtt.MqttServerUrl;

public final class TahuPeer {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String DEVICE = "pump";
  private static final Map<String, MetricDataType> TYPES = new LinkedHashMap<>();

  static {
    TYPES.put("Temperature", MetricDataType.Double);
    TYPES.put("Count", MetricDataType.Int32);
    TYPES.put("Small", MetricDataType.Int8);
    TYPES.put("Low", MetricDataType.Int16);
    TYPES.put("Name", MetricDataType.String);
    TYPES.put("Flag", MetricDataType.Boolean);
  }

  private final String group;
  private final String node;
  private final Map<String, Object> values = new LinkedHashMap<>();
  private EdgeClient client;
  private long bdSeq;

  private TahuPeer(String group, String node) {
    this.group = group;
    this.node = node;
    values.put("Temperature", 20.5);
    values.put("Count", -87);
    values.put("Small", (byte) -3);
    values.put("Low", (short) -3);
    values.put("Name", "peer");
    values.put("Flag", true);
  }

  public static void main(String[] arguments) throws Exception {
    String url = "tcp://127.0.0.1:" + arguments[1];
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    if (arguments[0].equals("read")) {
      read(url, arguments[2], input);
    } else {
      new TahuPeer(arguments[2], arguments[3]).serve(url, input);
    }
    System.exit(0);
  }

  private static void read(String url, String group, BufferedReader input) throws Exception {
    MqttClient client = new MqttClient(url, "tahu-reader", new MemoryPersistence());
    client.connect();
    Map<String, MetricDataTypeMap> births = new HashMap<>();
    client.subscribe(
        "spBv1.0/" + group + "/#",
        1,
        (topic, message) -> {
          String unit = topic.replaceFirst("/[ND](BIRTH|DATA|DEATH|CMD)/", "/");
          MetricDataTypeMap known = births.computeIfAbsent(unit, absent -> new MetricDataTypeMap());
          say("seen", told(topic, message.getPayload(), known));
        });
    say("ready", true);
    input.readLine();
  }

  private void serve(String url, BufferedReader input) throws Exception {
    MqttServerDefinition server =
        new MqttServerDefinition(
            new MqttServerName("broker"), new MqttClientId(node, false), new MqttServerUrl(url), null, null, 30, null);
    client =
        new EdgeClient(
            new Metrics(), new EdgeNodeDescriptor(group, node), List.of(DEVICE), null, false, 100L, List.of(server),
            new Commands(), null);
    new Thread(client, "edge").start();
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      JsonNode request = JSON.readTree(line);
      if (request.has("stop")) {
        break;
      }
      List<Metric> changed = new ArrayList<>();
      request.get("set").fields().forEachRemaining(entry -> changed.add(set(entry.getKey(), entry.getValue())));
      client.publishDeviceData(DEVICE, payload(changed));
    }
    client.disconnect(true);
    client.shutdown();
  }

  private Metric set(String name, JsonNode value) {
    if (!TYPES.containsKey(name)) {
      return built(new MetricBuilder(name, MetricDataType.Double, value.asDouble()));
    }
    values.put(name, TYPES.get(name) == MetricDataType.Double ? (Object) value.asDouble() : (Object) value.asInt());
    return metric(name);
  }

  private Metric metric(String name) {
    return built(new MetricBuilder(name, TYPES.get(name), values.get(name)));
  }

  private static Metric built(MetricBuilder builder) {
    try {
      return builder.timestamp(new Date()).createMetric();
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }

  private static SparkplugBPayload payload(List<Metric> metrics) {
    return new SparkplugBPayloadBuilder().setTimestamp(new Date()).addMetrics(metrics).createPayload();
  }

  /** A metric whose quality is bad at birth; the data that follows leaves the good quality out. */
  private Metric doubtful() throws Exception {
    PropertySetBuilder properties = new PropertySetBuilder();
    properties.addProperty("Quality", new PropertyValue(PropertyDataType.Int32, 0));
    properties.addProperty("engUnit", new PropertyValue(PropertyDataType.String, "bar"));
    return built(
        new MetricBuilder("Doubtful", MetricDataType.Double, 1.5).properties(properties.createPropertySet()));
  }

  private Metric file() throws Exception {
    byte[] content = "hello".getBytes(StandardCharsets.UTF_8);
    MetaDataBuilder described = new MetaDataBuilder().fileName("hello.txt").size(5L).md5("5d41402abc4b2a76b9719d911017c592");
    return built(new MetricBuilder("Log", MetricDataType.Bytes, content).metaData(described.createMetaData()));
  }

  private final class Metrics implements MetricHandler {
    @Override
    public Topic getDeathTopic() {
      return new Topic("spBv1.0", group, node, MessageType.NDEATH);
    }

    @Override
    public byte[] getDeathPayloadBytes() throws Exception {
      bdSeq = (bdSeq + 1) % 256;
      SparkplugBPayload death = payload(List.of(built(new MetricBuilder("bdSeq", MetricDataType.Int64, bdSeq))));
      return new SparkplugBPayloadEncoder().getBytes(death, false);
    }

    @Override
    public void publishBirthSequence() {
      try {
        SparkplugBPayloadMapBuilder birth = new SparkplugBPayloadMapBuilder().setTimestamp(new Date());
        birth.addMetric(built(new MetricBuilder("bdSeq", MetricDataType.Int64, bdSeq)));
        birth.addMetric(built(new MetricBuilder("Node Control/Rebirth", MetricDataType.Boolean, false)));
        client.publishNodeBirth(birth.createPayload());
        List<Metric> metrics = new ArrayList<>(TYPES.keySet().stream().map(TahuPeer.this::metric).toList());
        metrics.add(doubtful());
        metrics.add(file());
        client.publishDeviceBirth(DEVICE, payload(metrics));
      } catch (Exception error) {
        throw new IllegalStateException(error);
      }
    }

    @Override
    public boolean hasMetric(SparkplugDescriptor descriptor, String name) {
      return TYPES.containsKey(name) || name.equals("Doubtful") || name.equals("Log");
    }
  }

  private final class Commands implements ClientCallback {
    @Override
    public void messageArrived(
        MqttServerName server, MqttServerUrl url, MqttClientId id, String topic, MqttMessage message) {
      Map<String, Object> command = told(topic, message.getPayload(), null);
      say("command", command);
      if (String.valueOf(command).contains("Node Control/Rebirth")) {
        client.handleRebirthRequest(true);
      }
    }

    @Override
    public void shutdown() {}

    @Override
    public void connectionLost(MqttServerName server, MqttServerUrl url, MqttClientId id, Throwable cause) {}

    @Override
    public void connectComplete(boolean again, MqttServerName server, MqttServerUrl url, MqttClientId id) {}
  }

  /** What a message holds; a birth adds its datatypes to those that are known, where any are kept. */
  private static Map<String, Object> told(String topic, byte[] content, MetricDataTypeMap known) {
    Map<String, Object> metrics = new LinkedHashMap<>();
    try {
      for (Metric metric : new SparkplugBPayloadDecoder().buildFromByteArray(content, known).getMetrics()) {
        if (known != null && topic.contains("BIRTH/")) {
          known.addMetricDataType(metric.getName(), metric.getDataType());
        }
        Object value = metric.getValue();
        metrics.put(metric.getName(), value instanceof Number || value instanceof Boolean ? value : String.valueOf(value));
      }
    } catch (Exception error) {
      metrics.put("error", error.toString());
    }
    return Map.of("topic", topic, "metrics", metrics);
  }

  private static synchronized void say(String key, Object content) {
    try {
      System.out.println(JSON.writeValueAsString(Map.of(key, content)));
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
  }
}
