namespace Tansu.Host.CommandLine

/// The commands that speak to a cluster, and what they take.
module internal ClientCommands =
    [<Literal>]
    let BootstrapServer = "--bootstrap-server"

    [<Literal>]
    let BootstrapVariable = "BOOTSTRAP_SERVER"

    [<Literal>]
    let DefaultBootstrapServer = "localhost:9092"

    [<Literal>]
    let DefaultTimeoutMs = 30000

    let private flag name value purpose : ClientFlag = { Flag = name; Value = value; Purpose = purpose }

    let private common = [
        flag
            BootstrapServer
            "host"
            $"The brokers to ask for all others: host:port, several with commas between. [environment: {BootstrapVariable}; default: {DefaultBootstrapServer}]"
        flag "--timeout-ms" "milliseconds" $"How long to try, in milliseconds. [default: {DefaultTimeoutMs}]"
        flag "--json" "" "Print one JSON document instead of tables."
    ]

    let private command name purpose flags : ClientCommand = { Name = name; Purpose = purpose; Flags = flags @ common }

    let private scope =
        flag
            "--topic"
            "name:partitions"
            "A topic, or some of its partitions, such as orders:0,2; may be given several times."

    let private owners = [
        flag "--topic" "name" "The configurations of this topic."
        flag "--broker" "id|default" "The configurations of the broker with this id, or with 'default' of all brokers."
        flag "--group" "name" "The configurations of this group."
    ]

    let private topics = [
        command "topic create" "Create topics." [
            flag "" "name" "The topic to create; may be given several times."
            flag "--partitions" "count" "How many partitions. [default: the broker's]"
            flag "--replication-factor" "count" "How many copies of each partition. [default: the broker's]"
            flag
                "--config"
                "name=value"
                "A configuration of the topic, such as retention.ms=3600000; may be given several times."
            flag
                "--assignment"
                "brokers"
                "The brokers of each partition, instead of their numbers: 0:1,1:0 is two partitions with two copies each. --replica-assignment is the same."
            flag "--if-not-exists" "" "A topic that is there already is left as it is, and is no failure."
        ]
        command "topic list" "List the topics." []
        command "topic describe" "Show partitions, leaders, offsets and configurations of topics." [
            flag "" "name" "The topic to describe; may be given several times. [default: all]"
        ]
        command "topic alter" "Give topics more partitions or other configurations." [
            flag "" "name" "The topic to alter; may be given several times."
            flag "--partitions" "count" "How many partitions it is to have altogether: more than it has."
            flag
                "--config"
                "name=value"
                "A configuration to set, such as retention.ms=3600000; may be given several times."
            flag
                "--delete-config"
                "name"
                "A configuration that is to have its default again; may be given several times."
        ]
        command "topic delete" "Delete topics with all their records." [
            flag "" "name" "The topic to delete, with all its records; may be given several times."
            flag "--if-exists" "" "A topic that is not there is no failure."
        ]
    ]

    let private groups = [
        command "group list" "List the consumer groups." [
            flag "--state" "name" "Only groups in this state, such as Stable or Empty; several with commas between."
            flag "--type" "name" "Only groups of this type, classic or consumer; several with commas between."
        ]
        command "group describe" "Show members, assignments, committed offsets and lag of consumer groups." [
            flag "" "name" "The group to describe; may be given several times. [default: all]"
        ]
        command "group reset-offsets" "Set the committed offsets of consumer groups that have no members." [
            flag "" "name" "The group, which may have no members; may be given several times."
            scope
            flag "--all-topics" "" "All topics for which the group has committed something."
            flag "--to-earliest" "" "To the first record of each partition."
            flag "--to-latest" "" "Behind the last record of each partition."
            flag "--to-current" "" "To what is committed, brought back into the partition where it has left it."
            flag "--to-offset" "offset" "To this offset, or the nearest that the partition has."
            flag
                "--to-datetime"
                "time"
                "To the first record that is not older, such as 2026-01-31T12:00:00Z; UTC without a zone."
            flag "--shift-by" "records" "So many records forward or, with a minus, back from what is committed."
            flag
                "--by-duration"
                "duration"
                "To the first record that is not older than this before now, such as PT1H30M or P7D."
            flag "--execute" "" "Do it. Without this flag it is only shown."
            flag "--dry-run" "" "Only show what would be done, as without --execute."
        ]
        command "group delete" "Delete consumer groups that have no members." [
            flag "" "name" "The group to delete, with its offsets; may be given several times."
        ]
        command "group delete-offsets" "Delete committed offsets of a consumer group." [
            flag "" "name" "The group, which may not be subscribed to the topic."
            scope
        ]
    ]

    let private configs = [
        command "config get" "Show configurations of a topic, a broker or a consumer group." [
            flag "" "name" "The configuration to show; may be given several times. [default: all that somebody has set]"
            yield! owners
            flag "--all" "" "Show also what nobody has set."
            flag "--describe" "" "Say of each its type, where else it has a value, and what it is for."
        ]
        command "config set" "Set or delete configurations of a topic, a broker or a consumer group." [
            flag "" "name=value" "What to set, or with nothing after the = to delete; may be given several times."
            yield! owners
            flag "--delete" "name" "A configuration that is to have its default again; may be given several times."
        ]
    ]

    /// What `tansu dump` takes, which opens a store and speaks to no cluster.
    let dump = RecordCommands.dump

    let private records =
        RecordCommands.all
        |> List.map (fun given -> { given with Flags = given.Flags @ List.take 2 common })

    /// All of them, in the order of the help.
    let all: ClientCommand list = topics @ groups @ configs @ records @ [ dump ]

    /// The command of that name.
    let tryFind (name: string) =
        all |> List.tryFind (fun command -> command.Name = name)
