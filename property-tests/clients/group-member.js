// One kafkajs consumer in a group; prints "partition offset value" for every record. SIGTERM makes it leave.
//   node group-member.js <brokers> <group> <topic> <client id>
const { Kafka, logLevel, AssignerProtocol } = require('kafkajs')

const [brokers, groupId, topic, clientId] = process.argv.slice(2)

// What librdkafka and the Java client call "roundrobin": partitions in order to members in order, around and around.
const roundRobin = ({ cluster }) => ({
  name: 'roundrobin',
  version: 0,
  async assign({ members, topics }) {
    const ids = members.map(({ memberId }) => memberId).sort()
    const assigned = new Map(ids.map(id => [id, {}]))
    const partitions = topics.slice().sort().flatMap(name =>
      cluster
        .findTopicPartitionMetadata(name)
        .map(({ partitionId }) => partitionId)
        .sort((left, right) => left - right)
        .map(partition => ({ name, partition }))
    )
    partitions.forEach(({ name, partition }, index) => {
      const assignment = assigned.get(ids[index % ids.length])
      assignment[name] = (assignment[name] || []).concat(partition)
    })
    return [...assigned].map(([memberId, assignment]) => ({
      memberId,
      memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 0, assignment }),
    }))
  },
  protocol({ topics }) {
    return { name: 'roundrobin', metadata: AssignerProtocol.MemberMetadata.encode({ version: 0, topics }) }
  },
})

const kafka = new Kafka({
  clientId,
  brokers: brokers.split(','),
  logLevel: logLevel.WARN,
  // The log is no output: that is for records.
  logCreator: () => ({ label, log }) => process.stderr.write(`${label} ${JSON.stringify(log)}\n`),
  connectionTimeout: 2000,
  retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 1000 },
})

const consumer = kafka.consumer({
  groupId,
  partitionAssigners: [roundRobin],
  sessionTimeout: 6000,
  rebalanceTimeout: 10000,
  heartbeatInterval: 500,
  maxWaitTimeInMs: 200,
  metadataMaxAge: 2000,
})

const leave = async () => {
  await consumer.disconnect()
  process.exit(0)
}

const main = async () => {
  process.on('SIGTERM', () => leave().catch(fail))
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) fail(payload.error)
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    autoCommitInterval: 500,
    eachMessage: async ({ partition, message }) => {
      process.stdout.write(`${partition} ${message.offset} ${message.value}\n`)
    },
  })
}

const fail = error => {
  process.stderr.write(`${error.stack || error}\n`)
  process.exit(1)
}

main().catch(fail)
