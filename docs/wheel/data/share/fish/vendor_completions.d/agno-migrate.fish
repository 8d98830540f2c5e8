# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_agno_migrate_global_optspecs
    string join \n db= db-file= table= lock-wait= lock-timeout= wait= schema= json q/quiet v/verbose color= no-progress h/help V/version
end

function __fish_agno_migrate_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_agno_migrate_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_agno_migrate_using_subcommand
    set -l cmd (__fish_agno_migrate_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -l db -d 'The database: the URL of the Agno app, or a SQLite file; may be repeated [env: AGNO_DB_URL, then DATABASE_URL] [default: sqlite:///agno.db]' -r
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -l db-file -d 'A file with a database on each line; empty lines and those that begin with # are left out [env: AGNO_DB_FILE]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -l table -d 'A table\'s own name, such as sessions=my_sessions; may be repeated. Without it tables are found by their shape [env: AGNO_MIGRATE_TABLE, separated by ;]' -r
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -l lock-wait -d 'Seconds to wait for another migration or an application that holds the database' -r
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -l lock-timeout -d 'Seconds one statement waits for the lock of a table before it is tried again, until --lock-wait is over (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -l wait -d 'Seconds to wait for a server that is still starting' -r
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -l schema -d 'The schema that has the tables (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -l color -d 'Colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -l json -d 'Print the result as one JSON document'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -s q -l quiet -d 'Say nothing but the result, warnings and errors'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -s v -l verbose -d 'Say each step that was taken'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -l no-progress -d 'No progress bars'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -s V -l version -d 'Print version'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -f -a "up" -d 'Bring every Agno table up to a schema version'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -f -a "down" -d 'Bring every Agno table back to a schema version, losing nothing'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -f -a "current" -d 'Print the schema version of the database: the lowest of its tables'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -f -a "status" -d 'Show every table: rows, stamped version, version of its shape, what is pending or drifted'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -f -a "plan" -d 'Show what `up` and `down` would do, step by step, with the SQL'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -f -a "v1-to-v2" -d 'Convert the tables of Agno v1, and of phidata, into those of v2 and v3'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -f -a "verify" -d 'Prove, reading only, that the data is what the stamps say'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -f -a "cleanup" -d 'Drop the old column `runs` once every run in it is proven to be in the runs table'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -f -a "man" -d 'Print the man page'
complete -c agno-migrate -n "__fish_agno_migrate_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l to -d 'The schema version, or an Agno release: 2.5.6, v3.0.0, 2.9.0, latest' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l only -d 'Only tables of these types, separated by commas; sessions brings its runs along' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l backup -d 'Copy the SQLite file before it is changed: to PATH, into the folder PATH, or without PATH beside it [env: AGNO_MIGRATE_BACKUP, a PATH or true]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l db -d 'The database: the URL of the Agno app, or a SQLite file; may be repeated [env: AGNO_DB_URL, then DATABASE_URL] [default: sqlite:///agno.db]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l db-file -d 'A file with a database on each line; empty lines and those that begin with # are left out [env: AGNO_DB_FILE]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l table -d 'A table\'s own name, such as sessions=my_sessions; may be repeated. Without it tables are found by their shape [env: AGNO_MIGRATE_TABLE, separated by ;]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l lock-wait -d 'Seconds to wait for another migration or an application that holds the database' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l lock-timeout -d 'Seconds one statement waits for the lock of a table before it is tried again, until --lock-wait is over (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l wait -d 'Seconds to wait for a server that is still starting' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l schema -d 'The schema that has the tables (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l color -d 'Colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l force -d 'Do the data moves of stamped versions again; never overwrites a row, never lowers a stamp'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l dry-run -d 'Say what would be done and change nothing'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l json -d 'Print the result as one JSON document'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -s q -l quiet -d 'Say nothing but the result, warnings and errors'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -s v -l verbose -d 'Say each step that was taken'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -l no-progress -d 'No progress bars'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand up" -s V -l version -d 'Print version'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -l only -d 'Only tables of these types, separated by commas; sessions brings its runs along' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -l backup -d 'Copy the SQLite file before it is changed: to PATH, into the folder PATH, or without PATH beside it [env: AGNO_MIGRATE_BACKUP, a PATH or true]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -l db -d 'The database: the URL of the Agno app, or a SQLite file; may be repeated [env: AGNO_DB_URL, then DATABASE_URL] [default: sqlite:///agno.db]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -l db-file -d 'A file with a database on each line; empty lines and those that begin with # are left out [env: AGNO_DB_FILE]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -l table -d 'A table\'s own name, such as sessions=my_sessions; may be repeated. Without it tables are found by their shape [env: AGNO_MIGRATE_TABLE, separated by ;]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -l lock-wait -d 'Seconds to wait for another migration or an application that holds the database' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -l lock-timeout -d 'Seconds one statement waits for the lock of a table before it is tried again, until --lock-wait is over (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -l wait -d 'Seconds to wait for a server that is still starting' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -l schema -d 'The schema that has the tables (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -l color -d 'Colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -l dry-run -d 'Say what would be done and change nothing'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -s y -l yes -d 'Do not ask'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -l json -d 'Print the result as one JSON document'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -s q -l quiet -d 'Say nothing but the result, warnings and errors'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -s v -l verbose -d 'Say each step that was taken'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -l no-progress -d 'No progress bars'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand down" -s V -l version -d 'Print version'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -l db -d 'The database: the URL of the Agno app, or a SQLite file; may be repeated [env: AGNO_DB_URL, then DATABASE_URL] [default: sqlite:///agno.db]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -l db-file -d 'A file with a database on each line; empty lines and those that begin with # are left out [env: AGNO_DB_FILE]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -l table -d 'A table\'s own name, such as sessions=my_sessions; may be repeated. Without it tables are found by their shape [env: AGNO_MIGRATE_TABLE, separated by ;]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -l lock-wait -d 'Seconds to wait for another migration or an application that holds the database' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -l lock-timeout -d 'Seconds one statement waits for the lock of a table before it is tried again, until --lock-wait is over (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -l wait -d 'Seconds to wait for a server that is still starting' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -l schema -d 'The schema that has the tables (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -l color -d 'Colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -l check -d 'End with 3 when migrations are pending, with 4 on drift'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -l json -d 'Print the result as one JSON document'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -s q -l quiet -d 'Say nothing but the result, warnings and errors'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -s v -l verbose -d 'Say each step that was taken'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -l no-progress -d 'No progress bars'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand current" -s V -l version -d 'Print version'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -l db -d 'The database: the URL of the Agno app, or a SQLite file; may be repeated [env: AGNO_DB_URL, then DATABASE_URL] [default: sqlite:///agno.db]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -l db-file -d 'A file with a database on each line; empty lines and those that begin with # are left out [env: AGNO_DB_FILE]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -l table -d 'A table\'s own name, such as sessions=my_sessions; may be repeated. Without it tables are found by their shape [env: AGNO_MIGRATE_TABLE, separated by ;]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -l lock-wait -d 'Seconds to wait for another migration or an application that holds the database' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -l lock-timeout -d 'Seconds one statement waits for the lock of a table before it is tried again, until --lock-wait is over (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -l wait -d 'Seconds to wait for a server that is still starting' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -l schema -d 'The schema that has the tables (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -l color -d 'Colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -l check -d 'End with 3 when migrations are pending, with 4 on drift'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -l json -d 'Print the result as one JSON document'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -s q -l quiet -d 'Say nothing but the result, warnings and errors'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -s v -l verbose -d 'Say each step that was taken'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -l no-progress -d 'No progress bars'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand status" -s V -l version -d 'Print version'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -l only -d 'Only tables of these types, separated by commas; sessions brings its runs along' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -l db -d 'The database: the URL of the Agno app, or a SQLite file; may be repeated [env: AGNO_DB_URL, then DATABASE_URL] [default: sqlite:///agno.db]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -l db-file -d 'A file with a database on each line; empty lines and those that begin with # are left out [env: AGNO_DB_FILE]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -l table -d 'A table\'s own name, such as sessions=my_sessions; may be repeated. Without it tables are found by their shape [env: AGNO_MIGRATE_TABLE, separated by ;]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -l lock-wait -d 'Seconds to wait for another migration or an application that holds the database' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -l lock-timeout -d 'Seconds one statement waits for the lock of a table before it is tried again, until --lock-wait is over (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -l wait -d 'Seconds to wait for a server that is still starting' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -l schema -d 'The schema that has the tables (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -l color -d 'Colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -l json -d 'Print the result as one JSON document'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -s q -l quiet -d 'Say nothing but the result, warnings and errors'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -s v -l verbose -d 'Say each step that was taken'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -l no-progress -d 'No progress bars'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand plan" -s V -l version -d 'Print version'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l from -d 'The database that has the v1 tables; may be repeated [env: AGNO_MIGRATE_FROM, separated by ;] [default: the one of --db]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l from-schema -d 'The schema that has the v1 tables, when it is not that of --schema (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l to -d 'The schema version of tables that are made new, or an Agno release' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l backup -d 'Copy the SQLite file before it is changed: to PATH, into the folder PATH, or without PATH beside it [env: AGNO_MIGRATE_BACKUP, a PATH or true]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l db -d 'The database: the URL of the Agno app, or a SQLite file; may be repeated [env: AGNO_DB_URL, then DATABASE_URL] [default: sqlite:///agno.db]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l db-file -d 'A file with a database on each line; empty lines and those that begin with # are left out [env: AGNO_DB_FILE]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l table -d 'A table\'s own name, such as sessions=my_sessions; may be repeated. Without it tables are found by their shape [env: AGNO_MIGRATE_TABLE, separated by ;]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l lock-wait -d 'Seconds to wait for another migration or an application that holds the database' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l lock-timeout -d 'Seconds one statement waits for the lock of a table before it is tried again, until --lock-wait is over (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l wait -d 'Seconds to wait for a server that is still starting' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l schema -d 'The schema that has the tables (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l color -d 'Colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l storage -d 'Sessions of agents, teams and workflows'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l memory -d 'Memories of users'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l vectors -d 'Documents of PgVector: the columns that v2 reads'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l dry-run -d 'Convert and say what would be written, and write nothing'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l json -d 'Print the result as one JSON document'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -s q -l quiet -d 'Say nothing but the result, warnings and errors'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -s v -l verbose -d 'Say each step that was taken'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -l no-progress -d 'No progress bars'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand v1-to-v2" -s V -l version -d 'Print version'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -l from -d 'A database with tables of v1 that were converted into this one: their rows are compared too; may be repeated [env: AGNO_MIGRATE_FROM, separated by ;]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -l from-schema -d 'The schema that has the v1 tables, when it is not that of --schema (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -l db -d 'The database: the URL of the Agno app, or a SQLite file; may be repeated [env: AGNO_DB_URL, then DATABASE_URL] [default: sqlite:///agno.db]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -l db-file -d 'A file with a database on each line; empty lines and those that begin with # are left out [env: AGNO_DB_FILE]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -l table -d 'A table\'s own name, such as sessions=my_sessions; may be repeated. Without it tables are found by their shape [env: AGNO_MIGRATE_TABLE, separated by ;]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -l lock-wait -d 'Seconds to wait for another migration or an application that holds the database' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -l lock-timeout -d 'Seconds one statement waits for the lock of a table before it is tried again, until --lock-wait is over (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -l wait -d 'Seconds to wait for a server that is still starting' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -l schema -d 'The schema that has the tables (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -l color -d 'Colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -l json -d 'Print the result as one JSON document'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -s q -l quiet -d 'Say nothing but the result, warnings and errors'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -s v -l verbose -d 'Say each step that was taken'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -l no-progress -d 'No progress bars'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand verify" -s V -l version -d 'Print version'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -l backup -d 'Copy the SQLite file before it is changed: to PATH, into the folder PATH, or without PATH beside it [env: AGNO_MIGRATE_BACKUP, a PATH or true]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -l db -d 'The database: the URL of the Agno app, or a SQLite file; may be repeated [env: AGNO_DB_URL, then DATABASE_URL] [default: sqlite:///agno.db]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -l db-file -d 'A file with a database on each line; empty lines and those that begin with # are left out [env: AGNO_DB_FILE]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -l table -d 'A table\'s own name, such as sessions=my_sessions; may be repeated. Without it tables are found by their shape [env: AGNO_MIGRATE_TABLE, separated by ;]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -l lock-wait -d 'Seconds to wait for another migration or an application that holds the database' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -l lock-timeout -d 'Seconds one statement waits for the lock of a table before it is tried again, until --lock-wait is over (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -l wait -d 'Seconds to wait for a server that is still starting' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -l schema -d 'The schema that has the tables (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -l color -d 'Colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -l dry-run -d 'Say what would be done and change nothing'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -s y -l yes -d 'Do not ask'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -l force -d 'Drop the column although it has runs that are nowhere else; their sessions are named'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -l vacuum -d 'Give the space back to the disk: writes the file (SQLite) or the table (PostgreSQL) anew, and nobody can use it meanwhile'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -l json -d 'Print the result as one JSON document'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -s q -l quiet -d 'Say nothing but the result, warnings and errors'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -s v -l verbose -d 'Say each step that was taken'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -l no-progress -d 'No progress bars'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand cleanup" -s V -l version -d 'Print version'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand completions" -l db -d 'The database: the URL of the Agno app, or a SQLite file; may be repeated [env: AGNO_DB_URL, then DATABASE_URL] [default: sqlite:///agno.db]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand completions" -l db-file -d 'A file with a database on each line; empty lines and those that begin with # are left out [env: AGNO_DB_FILE]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand completions" -l table -d 'A table\'s own name, such as sessions=my_sessions; may be repeated. Without it tables are found by their shape [env: AGNO_MIGRATE_TABLE, separated by ;]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand completions" -l lock-wait -d 'Seconds to wait for another migration or an application that holds the database' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand completions" -l lock-timeout -d 'Seconds one statement waits for the lock of a table before it is tried again, until --lock-wait is over (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand completions" -l wait -d 'Seconds to wait for a server that is still starting' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand completions" -l schema -d 'The schema that has the tables (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand completions" -l color -d 'Colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand completions" -l json -d 'Print the result as one JSON document'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand completions" -s q -l quiet -d 'Say nothing but the result, warnings and errors'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand completions" -s v -l verbose -d 'Say each step that was taken'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand completions" -l no-progress -d 'No progress bars'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand completions" -s V -l version -d 'Print version'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand man" -l db -d 'The database: the URL of the Agno app, or a SQLite file; may be repeated [env: AGNO_DB_URL, then DATABASE_URL] [default: sqlite:///agno.db]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand man" -l db-file -d 'A file with a database on each line; empty lines and those that begin with # are left out [env: AGNO_DB_FILE]' -r -F
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand man" -l table -d 'A table\'s own name, such as sessions=my_sessions; may be repeated. Without it tables are found by their shape [env: AGNO_MIGRATE_TABLE, separated by ;]' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand man" -l lock-wait -d 'Seconds to wait for another migration or an application that holds the database' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand man" -l lock-timeout -d 'Seconds one statement waits for the lock of a table before it is tried again, until --lock-wait is over (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand man" -l wait -d 'Seconds to wait for a server that is still starting' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand man" -l schema -d 'The schema that has the tables (PostgreSQL)' -r
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand man" -l color -d 'Colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand man" -l json -d 'Print the result as one JSON document'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand man" -s q -l quiet -d 'Say nothing but the result, warnings and errors'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand man" -s v -l verbose -d 'Say each step that was taken'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand man" -l no-progress -d 'No progress bars'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand man" -s V -l version -d 'Print version'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand help; and not __fish_seen_subcommand_from up down current status plan v1-to-v2 verify cleanup completions man help" -f -a "up" -d 'Bring every Agno table up to a schema version'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand help; and not __fish_seen_subcommand_from up down current status plan v1-to-v2 verify cleanup completions man help" -f -a "down" -d 'Bring every Agno table back to a schema version, losing nothing'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand help; and not __fish_seen_subcommand_from up down current status plan v1-to-v2 verify cleanup completions man help" -f -a "current" -d 'Print the schema version of the database: the lowest of its tables'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand help; and not __fish_seen_subcommand_from up down current status plan v1-to-v2 verify cleanup completions man help" -f -a "status" -d 'Show every table: rows, stamped version, version of its shape, what is pending or drifted'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand help; and not __fish_seen_subcommand_from up down current status plan v1-to-v2 verify cleanup completions man help" -f -a "plan" -d 'Show what `up` and `down` would do, step by step, with the SQL'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand help; and not __fish_seen_subcommand_from up down current status plan v1-to-v2 verify cleanup completions man help" -f -a "v1-to-v2" -d 'Convert the tables of Agno v1, and of phidata, into those of v2 and v3'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand help; and not __fish_seen_subcommand_from up down current status plan v1-to-v2 verify cleanup completions man help" -f -a "verify" -d 'Prove, reading only, that the data is what the stamps say'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand help; and not __fish_seen_subcommand_from up down current status plan v1-to-v2 verify cleanup completions man help" -f -a "cleanup" -d 'Drop the old column `runs` once every run in it is proven to be in the runs table'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand help; and not __fish_seen_subcommand_from up down current status plan v1-to-v2 verify cleanup completions man help" -f -a "completions" -d 'Print a completion script for a shell'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand help; and not __fish_seen_subcommand_from up down current status plan v1-to-v2 verify cleanup completions man help" -f -a "man" -d 'Print the man page'
complete -c agno-migrate -n "__fish_agno_migrate_using_subcommand help; and not __fish_seen_subcommand_from up down current status plan v1-to-v2 verify cleanup completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
