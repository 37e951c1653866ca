using Tansu.Domain;

namespace Tansu.Adapters.Reading;

/// <summary>
/// Long polls that wait for partitions to grow. A commit wakes only those that wait for one of its partitions, so that
/// thousands of idle consumers cost a busy partition nothing.
/// </summary>
public sealed class PartitionWaiters
{
    private readonly Lock _lock = new();
    private readonly Dictionary<TopicPartition, HashSet<Waiter>> _waiters = [];

    /// <summary>
    /// Starts listening. The caller registers first and looks at the state afterwards, so that nothing falls between the two.
    /// </summary>
    /// <param name="partitions">What to listen to; kept until the waiter is disposed.</param>
    public Waiter Register(IReadOnlyList<TopicPartition> partitions)
    {
        var waiter = new Waiter(this, partitions);
        lock (_lock)
        {
            for (var index = 0; index < partitions.Count; index++)
            {
                if (!_waiters.TryGetValue(partitions[index], out var listening))
                {
                    _waiters.Add(partitions[index], listening = []);
                }

                listening.Add(waiter);
            }
        }

        return waiter;
    }

    /// <summary>Wakes whoever waits for a partition that one of the events changes.</summary>
    public void Wake(IReadOnlyList<ShardEvent> events)
    {
        lock (_lock)
        {
            if (_waiters.Count == 0)
            {
                return;
            }

            for (var index = 0; index < events.Count; index++)
            {
                switch (events[index])
                {
                    case ShardEvent.BatchAppended appended:
                        WakePartition(appended.batch.Partition);
                        break;
                    case ShardEvent.LogStartOffsetAdvanced advanced:
                        WakePartition(advanced.partition);
                        break;
                    case ShardEvent.TopicRemoved removed:
                        WakeTopic(removed.topicId);
                        break;
                }
            }
        }
    }

    /// <summary>Wakes everybody: what has changed is not known.</summary>
    public void WakeAll()
    {
        lock (_lock)
        {
            foreach (var listening in _waiters.Values)
            {
                SignalAll(listening);
            }
        }
    }

    private static void SignalAll(HashSet<Waiter> listening)
    {
        foreach (var waiter in listening)
        {
            waiter.Signal();
        }
    }

    private void WakePartition(TopicPartition partition)
    {
        if (_waiters.TryGetValue(partition, out var listening))
        {
            SignalAll(listening);
        }
    }

    private void WakeTopic(TopicId topicId)
    {
        foreach (var (partition, listening) in _waiters)
        {
            if (partition.TopicId.Value == topicId.Value)
            {
                SignalAll(listening);
            }
        }
    }

    private void Unregister(Waiter waiter, IReadOnlyList<TopicPartition> partitions)
    {
        lock (_lock)
        {
            for (var index = 0; index < partitions.Count; index++)
            {
                if (_waiters.TryGetValue(partitions[index], out var listening) && listening.Remove(waiter) && listening.Count == 0)
                {
                    _waiters.Remove(partitions[index]);
                }
            }
        }
    }

    /// <summary>One long poll.</summary>
    public sealed class Waiter : IDisposable
    {
        private readonly PartitionWaiters _owner;
        private readonly IReadOnlyList<TopicPartition> _partitions;
        private volatile TaskCompletionSource _signal = NewSignal();

        internal Waiter(PartitionWaiters owner, IReadOnlyList<TopicPartition> partitions)
        {
            _owner = owner;
            _partitions = partitions;
        }

        /// <summary>Completes when one of the partitions has changed since <see cref="Rearm"/>.</summary>
        public Task Changed => _signal.Task;

        /// <summary>Listens for the next change. Call it before looking at the state.</summary>
        public void Rearm()
        {
            if (_signal.Task.IsCompleted)
            {
                _signal = NewSignal();
            }
        }

        /// <summary>Stops listening.</summary>
        public void Dispose() => _owner.Unregister(this, _partitions);

        internal void Signal() => _signal.TrySetResult();

        private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
