// Transactions of kafkajs, which speaks transactions v1: three of one record each in every partition, the second is aborted; the first and the last also
// commit an offset. Then a consumer of committed records reads up to the last record of every partition. Prints what it got and the group's offset.
//   node transactions.js <brokers> <topic> <partitions>
const { Kafka, logLevel } = require('kafkajs')

const [brokers, topic, count] = process.argv.slice(2)
const partitions = [...Array(Number(count)).keys()]
const kafka = new Kafka({
  brokers: brokers.split(','),
  logLevel: logLevel.WARN,
  logCreator: () => ({ label, log }) => process.stderr.write(`${label} ${JSON.stringify(log)}\n`),
})
const groupId = 'kafkajs-offsets'

const transact = async (producer, value, offset, end) => {
  const transaction = await producer.transaction()
  await transaction.send({ topic, messages: partitions.map(partition => ({ partition, value })) })
  await transaction.sendOffsets({
    consumerGroupId: groupId,
    topics: [{ topic, partitions: [{ partition: 0, offset }] }],
  })
  await transaction[end]()
}

const produce = async () => {
  const producer = kafka.producer({
    transactionalId: 'kafkajs',
    maxInFlightRequests: 1,
    idempotent: true,
  })
  await producer.connect()
  await transact(producer, 'first', '1', 'commit')
  await transact(producer, 'aborted', '2', 'abort')
  await transact(producer, 'last', '3', 'commit')
  // And one that changes nothing: the offset stays.
  await transact(producer, 'aborted', '4', 'abort')
  await producer.disconnect()
}

const consume = async () => {
  const consumer = kafka.consumer({ groupId: 'kafkajs-readers', maxWaitTimeInMs: 200, readUncommitted: false })
  const read = partitions.map(() => [])
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    consumer
      .run({
        eachMessage: async ({ partition, message }) => {
          read[partition].push(String(message.value))
          if (read.every(values => values.includes('last'))) resolve()
        },
      })
      .catch(reject)
  })
  await consumer.disconnect()
  return read
}

const main = async () => {
  await produce()
  const read = await consume()
  const admin = kafka.admin()
  await admin.connect()
  const [{ partitions: offsets }] = await admin.fetchOffsets({ groupId, topics: [topic] })
  await admin.disconnect()
  process.stdout.write(JSON.stringify({ read, offset: offsets.find(({ partition }) => partition === 0).offset }))
}

main().catch(error => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})
