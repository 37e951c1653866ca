namespace Tansu.Adapters.Reading;

/// <summary>
/// Requests that wait for something to change. A commit wakes only those that wait for what it changes, so that thousands of
/// idle clients cost a busy neighbour nothing. Safe to use from any thread.
/// </summary>
/// <typeparam name="TKey">What can change.</typeparam>
public class ChangeWaiters<TKey>
    where TKey : notnull
{
    private readonly Lock _lock = new();
    private readonly Dictionary<TKey, HashSet<Waiter>> _waiters = [];

    /// <summary>
    /// Starts listening. The caller registers first and looks at the state afterwards, so that nothing falls between the two.
    /// </summary>
    /// <param name="keys">What to listen to; kept until the waiter is disposed.</param>
    /// <param name="isBrief">Whether what follows is brief, so that it may run on the thread of whoever made the change, afterwards.</param>
    public Waiter Register(IReadOnlyList<TKey> keys, bool isBrief = false)
    {
        var waiter = new Waiter(this, keys, isBrief);
        lock (_lock)
        {
            for (var index = 0; index < keys.Count; index++)
            {
                if (!_waiters.TryGetValue(keys[index], out var listening))
                {
                    _waiters.Add(keys[index], listening = []);
                }

                listening.Add(waiter);
            }
        }

        return waiter;
    }

    /// <summary>Wakes everybody: what has changed is not known.</summary>
    public void WakeAll() => WakeWhere(static _ => true);

    /// <summary>Wakes whoever waits for this.</summary>
    public void Wake(TKey key)
    {
        lock (_lock)
        {
            if (_waiters.TryGetValue(key, out var listening))
            {
                SignalAll(listening);
            }
        }
    }

    /// <summary>Wakes whoever waits for one of these.</summary>
    protected void WakeWhere(Predicate<TKey> hasChanged)
    {
        ArgumentNullException.ThrowIfNull(hasChanged);
        lock (_lock)
        {
            foreach (var (key, listening) in _waiters)
            {
                if (hasChanged(key))
                {
                    SignalAll(listening);
                }
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

    private void Unregister(Waiter waiter, IReadOnlyList<TKey> keys)
    {
        lock (_lock)
        {
            for (var index = 0; index < keys.Count; index++)
            {
                if (_waiters.TryGetValue(keys[index], out var listening) && listening.Remove(waiter) && listening.Count == 0)
                {
                    _waiters.Remove(keys[index]);
                }
            }
        }
    }

    /// <summary>One request that waits.</summary>
    public sealed class Waiter : IDisposable
    {
        private readonly ChangeWaiters<TKey> _owner;
        private readonly IReadOnlyList<TKey> _keys;
        private readonly bool _isBrief;
        private OnceSignal _signal;

        internal Waiter(ChangeWaiters<TKey> owner, IReadOnlyList<TKey> keys, bool isBrief)
        {
            _owner = owner;
            _keys = keys;
            _isBrief = isBrief;
            _signal = NewSignal();
        }

        /// <summary>Completes when one of the keys has changed since <see cref="Rearm"/>.</summary>
        public Task Changed => Volatile.Read(ref _signal).Task;

        /// <summary>Listens for the next change. Call it before looking at the state.</summary>
        public void Rearm()
        {
            if (Changed.IsCompleted)
            {
                // A fence: whoever changes the state after it was looked at sees the new signal.
                Interlocked.Exchange(ref _signal, NewSignal());
            }
        }

        /// <summary>Wakes this one alone.</summary>
        public void Signal()
        {
            var signal = Volatile.Read(ref _signal);
            if (!signal.TryGive())
            {
                return;
            }

            if (!_isBrief)
            {
                signal.SetResult();
            }
            else if (!Afterwards.TryAdd(signal))
            {
                // The caller holds a lock and has others to wake.
                Task.Factory.StartNew(
                    static signal => ((TaskCompletionSource)signal!).SetResult(),
                    signal,
                    CancellationToken.None,
                    TaskCreationOptions.None,
                    TaskScheduler.Default);
            }
        }

        /// <summary>Stops listening.</summary>
        public void Dispose() => _owner.Unregister(this, _keys);

        // What follows a brief one runs where the signal is given.
        private OnceSignal NewSignal() => new(_isBrief ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>A signal that is given once, possibly some time after that was decided.</summary>
        private sealed class OnceSignal(TaskCreationOptions options) : TaskCompletionSource(options)
        {
            private int _isGiven;

            public bool TryGive() => Interlocked.Exchange(ref _isGiven, 1) == 0;
        }
    }
}
