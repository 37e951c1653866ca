using System.Data;
using Npgsql;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>The tables: checked when a store is opened, and created or migrated if need be. <c>docs/storage-postgres.md</c> describes them.</summary>
internal static class PostgresSchema
{
    /// <summary>The version of the tables that this build reads and writes.</summary>
    private const int Version = 1;

    /// <summary>Any number that nobody else locks: brokers that start at once migrate one after another.</summary>
    private const long MigrationLock = 0x54616E7375; // "Tansu"

    private const string Find =
        """
        SELECT to_regclass('tansu_schema') IS NOT NULL, current_setting('synchronous_commit'), current_setting('fsync'), pg_is_in_recovery(),
            current_setting('transaction_read_only')
        """;

    /// <summary>
    /// A log's row changes with every commit, which is cheap as long as its page has room (and "tail" no index). Bytes are record
    /// batches, mostly compressed already: kept uncompressed, a range of them can be read without the rest.
    /// </summary>
    private const string CreateVersion1 =
        """
        CREATE TABLE tansu_schema (one boolean PRIMARY KEY DEFAULT true CHECK (one), version integer NOT NULL);
        CREATE TABLE tansu_cluster (one boolean PRIMARY KEY DEFAULT true CHECK (one), content bytea NOT NULL);
        CREATE TABLE tansu_log (
            id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name text COLLATE "C" NOT NULL UNIQUE,
            tail bigint NOT NULL DEFAULT 0
        ) WITH (fillfactor = 10);
        CREATE TABLE tansu_entry (
            log integer NOT NULL,
            number bigint NOT NULL,
            head bytea NOT NULL,
            payload bytea NOT NULL,
            PRIMARY KEY (log, number)
        );
        ALTER TABLE tansu_entry ALTER head SET STORAGE EXTERNAL, ALTER payload SET STORAGE EXTERNAL;
        CREATE TABLE tansu_snapshot (
            log integer NOT NULL,
            number bigint NOT NULL,
            crc32c bigint NOT NULL,
            content bytea NOT NULL,
            PRIMARY KEY (log, number)
        );
        ALTER TABLE tansu_snapshot ALTER content SET STORAGE EXTERNAL;
        CREATE TABLE tansu_blob (
            name text COLLATE "C" PRIMARY KEY,
            content bytea NOT NULL,
            last_modified timestamptz NOT NULL DEFAULT now()
        );
        ALTER TABLE tansu_blob ALTER content SET STORAGE EXTERNAL;
        INSERT INTO tansu_schema (version) VALUES (1);
        """;

    private const string MissingRights =
        """
        SELECT string_agg(privilege || ' on ' || relation, ', ')
        FROM (VALUES
            ('tansu_schema', 'SELECT'),
            ('tansu_cluster', 'SELECT'), ('tansu_cluster', 'INSERT'),
            ('tansu_log', 'SELECT'), ('tansu_log', 'INSERT'), ('tansu_log', 'UPDATE'),
            ('tansu_entry', 'SELECT'), ('tansu_entry', 'INSERT'), ('tansu_entry', 'DELETE'),
            ('tansu_snapshot', 'SELECT'), ('tansu_snapshot', 'INSERT'), ('tansu_snapshot', 'UPDATE'), ('tansu_snapshot', 'DELETE'),
            ('tansu_blob', 'SELECT'), ('tansu_blob', 'INSERT'), ('tansu_blob', 'UPDATE'), ('tansu_blob', 'DELETE')
        ) AS needed (relation, privilege)
        WHERE NOT has_table_privilege(relation, privilege)
        """;

    /// <summary>Checks server and tables, creating what is missing. Raises the driver's errors and those of the port.</summary>
    /// <param name="source">Where connections come from.</param>
    /// <param name="store">The store's description.</param>
    /// <param name="user">The role, for the advice.</param>
    /// <param name="options">What the caller chose.</param>
    /// <param name="cancellationToken">Abandons it; the tables are then there whole or not at all.</param>
    public static async Task PrepareAsync(
        NpgsqlDataSource source,
        string store,
        string user,
        StoreOptions options,
        CancellationToken cancellationToken)
    {
        var connection = await PostgresConnections.OpenAsync(source, cancellationToken).ConfigureAwait(false);
        await using (connection.ConfigureAwait(false))
        {
            if (!await CheckServerAsync(connection, store, options.OnNotice, cancellationToken).ConfigureAwait(false))
            {
                if (options.IsReadOnly)
                {
                    throw new StoreRefusedException($"{store} holds no cluster.");
                }

                await MigrateAsync(connection, cancellationToken).ConfigureAwait(false);
            }

            CheckVersion(store, await ReadVersionAsync(connection, cancellationToken).ConfigureAwait(false));
            if (options.IsReadOnly)
            {
                return;
            }

            if (await connection.ScalarAsync(MissingRights, cancellationToken).ConfigureAwait(false) is string missing)
            {
                throw new StoreRefusedException($"{store}: role {user} lacks {missing}: let the owner of the tables GRANT it.");
            }
        }
    }

    /// <exception cref="StoreRefusedException">The tables are of a version that this build does not know.</exception>
    public static void CheckVersion(string store, int version)
    {
        if (version != Version)
        {
            throw new StoreRefusedException(version > Version
                ? $"{store} has tables of version {version}, made by a newer version of Tansu than this one, which knows {Version}: start that version."
                : $"{store} has no version in table tansu_schema: restore the database from a backup.");
        }
    }

    /// <summary>What is wrong with a server that confirms commits before they are durable, and what to do; null when it does not.</summary>
    public static string? FindingOn(string store, string synchronousCommit) =>
        synchronousCommit == "off"
            ? $"{store} has synchronous_commit=off, so that acknowledged records could be lost: set it to on for the server, the database and the role"
            : null;

    /// <returns>Whether the tables exist.</returns>
    private static async Task<bool> CheckServerAsync(
        NpgsqlConnection connection,
        string store,
        Action<string>? notice,
        CancellationToken cancellationToken)
    {
        var command = connection.Command(Find);
        await using (command.ConfigureAwait(false))
        {
            var row = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
            await using (row.ConfigureAwait(false))
            {
                await row.ReadAsync(cancellationToken).ConfigureAwait(false);
                if (FindingOn(store, row.GetString(1)) is { } finding)
                {
                    throw new StoreRefusedException(finding + ".");
                }

                if (row.GetString(2) == "off")
                {
                    notice?.Invoke($"{store} runs with fsync=off: a crash of its machine loses acknowledged records");
                }

                if (row.GetBoolean(3))
                {
                    throw new StoreRefusedException($"{store} is a standby that cannot be written to: name the primary server.");
                }

                if (row.GetString(4) == "on")
                {
                    throw new StoreRefusedException(
                        $"{store} has default_transaction_read_only=on, so that nothing can be written: set it to off for the server, the database and the role.");
                }

                return row.GetBoolean(0);
            }
        }
    }

    private static async Task<int> ReadVersionAsync(NpgsqlConnection connection, CancellationToken cancellationToken) =>
        await connection.ScalarAsync("SELECT version FROM tansu_schema", cancellationToken).ConfigureAwait(false) as int? ?? 0;

    private static async Task MigrateAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var transaction = await connection.BeginTransactionAsync(IsolationLevel.ReadCommitted, cancellationToken).ConfigureAwait(false);
        await using (transaction.ConfigureAwait(false))
        {
            await ExecuteAsync(connection, $"SELECT pg_advisory_xact_lock({MigrationLock})", cancellationToken).ConfigureAwait(false);

            // Another broker may have been faster. Not to_regclass again: within a transaction it remembers what was not there.
            const string Exists = "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'tansu_schema' AND pg_table_is_visible(oid))";
            if (await connection.ScalarAsync(Exists, cancellationToken).ConfigureAwait(false) is false)
            {
                await ExecuteAsync(connection, CreateVersion1, cancellationToken).ConfigureAwait(false);
            }

            await transaction.CommitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string statement, CancellationToken cancellationToken)
    {
        var command = connection.Command(statement);
        await using (command.ConfigureAwait(false))
        {
            await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
        }
    }
}
