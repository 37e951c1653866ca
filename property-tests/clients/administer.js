// What kafkajs's admin client can ask, asked once; prints what it was told.
//   node administer.js <broker> <topic>
const { Kafka, logLevel } = require('kafkajs')

const [broker, topic] = process.argv.slice(2)
const kafka = new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING })

const topicType = 2
const brokerType = 4

/** The name of the error that a call was refused with. */
const refusal = call => call.then(() => 'none', error => error.type || (error.errors && error.errors[0].type) || error.message)

const acl = { resourceType: topicType, resourceName: topic, resourcePatternType: 3, principal: 'User:a', host: '*', operation: 3, permissionType: 3 }

const main = async () => {
  const admin = kafka.admin()
  await admin.connect()
  const told = {}
  const { brokers, controller } = await admin.describeCluster()
  told.cluster = [brokers.length, controller]
  told.created = await admin.createTopics({ topics: [{ topic, replicaAssignment: [{ partition: 0, replicas: [controller] }] }] })
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
  told.grown = (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic, messages: ['a', 'b', 'c'].map(value => ({ partition: 0, value })) })
  await producer.disconnect()
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '1' }] })
  told.offsets = (await admin.fetchTopicOffsets(topic)).filter(({ partition }) => partition === 0).map(({ low, high }) => [low, high])
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: topicType, name: topic, configEntries: [{ name: 'retention.ms', value: '5000' }] }],
  })
  const described = await admin.describeConfigs({
    includeSynonyms: true,
    resources: [
      { type: topicType, name: topic, configNames: ['retention.ms'] },
      { type: brokerType, name: String(controller), configNames: ['node.id'] },
    ],
  })
  told.configs = described.resources.flatMap(({ configEntries }) => configEntries.map(({ configName, configValue }) => [configName, configValue])).sort()
  told.badConfig = await refusal(
    admin.alterConfigs({
      validateOnly: true,
      resources: [{ type: topicType, name: topic, configEntries: [{ name: 'retention.ms', value: 'soon' }] }],
    })
  )
  told.brokerConfig = await refusal(
    admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: brokerType, name: String(controller), configEntries: [{ name: 'num.partitions', value: '5' }] }],
    })
  )
  told.createAcls = await refusal(admin.createAcls({ acl: [acl] }))
  told.describeAcls = await refusal(admin.describeAcls(acl))
  told.deleteAcls = await refusal(admin.deleteAcls({ filters: [acl] }))
  await admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment: [{ partition: 0, replicas: [controller] }] }] })
  told.unknownBroker = await refusal(
    admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment: [{ partition: 0, replicas: [99] }] }] })
  )
  told.moving = (await admin.listPartitionReassignments({ topics: [{ topic, partitions: [0] }] })).topics
  await admin.setOffsets({ groupId: 'g', topic, partitions: [{ partition: 0, offset: '2' }] })
  told.groups = (await admin.listGroups()).groups.map(({ groupId }) => groupId)
  told.state = (await admin.describeGroups(['g'])).groups.map(({ state }) => state)
  told.deleted = (await admin.deleteGroups(['g'])).map(({ errorCode }) => errorCode)
  await admin.deleteTopics({ topics: [topic] })
  told.topics = await admin.listTopics()
  process.stdout.write(JSON.stringify(told))
  await admin.disconnect()
}

main().catch(error => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})
