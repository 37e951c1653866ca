// Reads one record with kafkajs, commits the offset after it with metadata, leaves, and prints what admin clients are told of it.
//   node commit-metadata.js <broker> <group> <topic> <metadata>
const { Kafka, logLevel } = require('kafkajs')

const [broker, groupId, topic, metadata] = process.argv.slice(2)
const kafka = new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING })

const commitOne = async consumer => {
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const committed = new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    consumer
      .run({
        autoCommit: false,
        eachMessage: async ({ partition, message }) => {
          const offset = String(BigInt(message.offset) + 1n)
          await consumer.commitOffsets([{ topic, partition, offset, metadata }]).then(resolve, reject)
        },
      })
      .catch(reject)
  })
  await committed
  await consumer.disconnect()
}

const main = async () => {
  await commitOne(kafka.consumer({ groupId }))
  const admin = kafka.admin()
  await admin.connect()
  const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
  process.stdout.write(JSON.stringify(partitions))
  await admin.disconnect()
}

main().catch(error => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})
