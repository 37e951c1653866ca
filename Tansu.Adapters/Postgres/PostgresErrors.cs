using System.Net.Sockets;
using Npgsql;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>Makes the port's errors of the driver's, and judges what an error says about an append.</summary>
internal static class PostgresErrors
{
    /// <summary>Whether it is one of the errors that the driver raises, and not a bug or an error of a port.</summary>
    public static bool IsOfDriver(Exception error) =>
        error is NpgsqlException or OperationCanceledException or TimeoutException or IOException or SocketException;

    /// <summary>Whether the connection is gone, and others to the same server are likely to be gone too.</summary>
    public static bool IsOfConnection(Exception error) => error switch
    {
        PostgresException said => said.SqlState.StartsWith("08", StringComparison.Ordinal)
            || said.SqlState is PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown or PostgresErrorCodes.CannotConnectNow,

        // Not if there was none to be had in time, or none could be made.
        NpgsqlException { InnerException: { } inner } => inner is (IOException or SocketException) && !IsOfFile(inner),
        IOException or SocketException => true,
        _ => false,
    };

    /// <summary>Whether a file is not there or cannot be read: a certificate, or its key.</summary>
    public static bool IsOfFile(Exception error) => error is FileNotFoundException or DirectoryNotFoundException or UnauthorizedAccessException;

    /// <summary>
    /// Whether an error in reply to a statement says for certain that its transaction was not committed. Not so when the
    /// server ended the session (the commit may have been on its way), and not for errors that nobody has thought about.
    /// </summary>
    public static bool SaysNotCommitted(Exception error) =>
        error is PostgresException { InvariantSeverity: "ERROR" } said
        && said.SqlState != "40003" // statement_completion_unknown
        && said.SqlState[..2] is "0A" or "22" or "23" or "25" or "26" or "3F" or "40" or "42" or "53" or "54" or "55";

    /// <summary>The port's form of an error that came while the store is in use: most of them may go away.</summary>
    /// <param name="what">What was being done, with the store's description.</param>
    /// <param name="error">What the driver said.</param>
    public static Exception WhileRunning(string what, Exception error) => error is PostgresException said
        ? said.SqlState switch
        {
            PostgresErrorCodes.UndefinedTable or PostgresErrorCodes.UndefinedColumn => new StoreRefusedException(
                $"{what}: {OneLine(said)}. The tables have been dropped, or changed by a newer version of Tansu: restore them, or start that version.",
                error),
            PostgresErrorCodes.UniqueViolation => new StoreRefusedException(
                $"{what}: {OneLine(said)}. The tables contradict one another: restore the database from a backup.",
                error),
            _ => new StoreUnavailableException($"{what}: {OneLine(said)} ({said.SqlState})", error),
        }
        : new StoreUnavailableException($"{what}: {Reason(error)}", error);

    /// <summary>The port's form of an error that came while the store was being opened: somebody is there to act.</summary>
    /// <param name="store">The store's description.</param>
    /// <param name="user">The role, for the advice.</param>
    /// <param name="error">What the driver said.</param>
    public static Exception WhileOpening(string store, string user, Exception error)
    {
        if (error is PostgresException said)
        {
            return Advice(said.SqlState, user) is { } advice
                ? new StoreRefusedException($"{store}: {OneLine(said)}: {advice}.", error)
                : WhileRunning($"Opening {store}", error);
        }

        if (error is NpgsqlException { InnerException: { } cause }
            && (IsOfFile(cause) || cause is ArgumentException or NotSupportedException or System.Security.Cryptography.CryptographicException))
        {
            return new StoreRefusedException(
                $"{store}: the driver cannot connect as the storage engine's URL says ({OneLine(cause.Message)}); check the ssl parameters, their files, and how the server wants clients to authenticate.",
                error);
        }

        // Without a cause of its own it is a judgement of the driver: no password given, encryption not to be had.
        return error is NpgsqlException { InnerException: null } or NpgsqlException { InnerException: System.Security.Authentication.AuthenticationException }
            ? new StoreRefusedException($"{store}: {Reason(error)}; correct the password or the ssl parameters of the storage engine's URL.", error)
            : new StoreUnavailableException($"{store} cannot be reached: {Reason(error)}; check host and port in the storage engine's URL, and whether the server runs.", error);
    }

    private static string? Advice(string sqlState, string user) => sqlState switch
    {
        PostgresErrorCodes.InvalidPassword => "correct the user or the password in the storage engine's URL (or PGPASSWORD)",
        PostgresErrorCodes.InvalidAuthorizationSpecification =>
            "correct the user in the storage engine's URL, or let it in with the server's pg_hba.conf",
        PostgresErrorCodes.InvalidCatalogName => "create it (CREATE DATABASE), or correct the storage engine's URL",
        PostgresErrorCodes.InsufficientPrivilege or PostgresErrorCodes.InvalidSchemaName =>
            $"let role {user} create tables in the first schema of its search_path (GRANT CREATE, USAGE ON SCHEMA …), or let their owner start Tansu first and "
            + "grant SELECT, INSERT, UPDATE and DELETE on the tables whose names begin with tansu_",
        PostgresErrorCodes.UndefinedObject or PostgresErrorCodes.InvalidParameterValue => "correct the parameter options of the storage engine's URL",
        PostgresErrorCodes.ReadOnlySqlTransaction => "name a server that can be written to",
        _ => null,
    };

    private static string Reason(Exception error) => error switch
    {
        OperationCanceledException or TimeoutException => "no answer in time",
        NpgsqlException { InnerException: TimeoutException or OperationCanceledException } => "no answer in time",
        NpgsqlException { InnerException: SocketException or IOException or System.Security.Authentication.AuthenticationException } =>
            OneLine(error.InnerException!.Message),
        _ => OneLine(error.Message),
    };

    private static string OneLine(PostgresException said) => OneLine(said.MessageText);

    private static string OneLine(string message) => message.ReplaceLineEndings(" ").TrimEnd('.', ' ');
}
