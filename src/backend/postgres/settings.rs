//! How to reach a PostgreSQL server: the URL an Agno app has, completed by the environment and .pgpass as libpq does it.

use super::passfile::password_of;
use crate::error::Stop;
use percent_encoding::percent_decode_str;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How much a server has to prove. The words are libpq's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS where the server has it, without proof.
    #[default]
    Prefer,
    /// TLS, without proof.
    Require,
    /// TLS, and a certificate that a trusted authority signed.
    VerifyCa,
    /// The same, made out to the host.
    VerifyFull,
}

/// A server that may have the database.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Its name, or the directory of a Unix socket: what its certificate is held against.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// Where it is, when its name is not to be looked up (`hostaddr`).
    pub address: Option<IpAddr>,
    /// The password that a file has for it.
    pub password: Option<String>,
}

impl Host {
    /// Whether it is reached by a Unix socket.
    pub fn is_socket(&self) -> bool {
        self.address.is_none() && self.name.starts_with('/')
    }
}

/// A server, a user, a database. [`std::fmt::Debug`] is not derived: the password must not be printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Hosts, tried in order.
    pub hosts: Vec<Host>,
    /// The role.
    pub user: String,
    /// Its password, wherever it is used.
    pub password: Option<String>,
    /// A file of passwords that was not used, since others may read it.
    pub open_pass_file: Option<PathBuf>,
    /// The database.
    pub database: String,
    /// Settings for the server: `-csearch_path=..`.
    pub options: Option<String>,
    /// What the server shows the connection as.
    pub application_name: String,
    /// How long a connection may take.
    pub connect_timeout: Option<Duration>,
    /// What the server has to prove.
    pub ssl_mode: SslMode,
    /// Authorities to trust; `None`: those of the system.
    pub ssl_root_cert: Option<PathBuf>,
    /// The client's certificate and its key.
    pub ssl_client: Option<(PathBuf, PathBuf)>,
    /// Only a server that can be written (`target_session_attrs`).
    pub read_write: bool,
}

/// Where settings besides the URL come from.
pub trait Surroundings {
    /// An environment variable that is set and not empty.
    fn variable(&self, name: &str) -> Option<String>;
    /// The text of a file, if it can be read and, for a file of passwords, nobody else can.
    fn private_file(&self, path: &Path) -> Option<String>;
    /// Whether there is such a file.
    fn exists(&self, path: &Path) -> bool;
}

/// The process's own.
pub struct Process;

impl Surroundings for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn private_file(&self, path: &Path) -> Option<String> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As libpq: what others can read is no secret, and not used.
            if std::fs::metadata(path).ok()?.permissions().mode() & 0o077 != 0 {
                return None;
            }
        }
        std::fs::read_to_string(path).ok()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

impl Settings {
    /// Reads what follows `scheme://`, as SQLAlchemy does (a password may hold anything but `@`, encoded or not), then the
    /// environment for what it leaves open.
    ///
    /// # Errors
    /// [`Stop::Usage`] for what cannot be understood or is not supported. The message never repeats the URL.
    pub fn read(rest: &str, around: &dyn Surroundings) -> Result<Settings, Stop> {
        let (user_info, rest) = split_user_info(rest);
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        // Else a part of the password would be asked for as a host, and shown.
        let is_cut = |text: &str| text.split('=').next().is_some_and(|key| key.contains('@'));
        if query.split('&').any(is_cut) || is_cut(database) {
            return Err(Stop::Usage(
                "the database URL has an @ behind its host: a password with @, / or ? in it has to be percent-encoded (%40, %2F, %3F)"
                    .to_owned(),
            ));
        }
        let (user, password) = match user_info.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (user_info, None),
        };
        let mut said = Said {
            hosts: hosts.split(',').filter(|host| !host.is_empty()).map(address).collect::<Result<_, _>>()?,
            user: some(decoded(user)?),
            password: password.map(decoded).transpose()?,
            database: some(decoded(database)?),
            ..Said::default()
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            said.set(&decoded(key)?, decoded(&value.replace('+', " "))?)?;
        }
        said.complete(around)
    }

    /// The server and database, without the password.
    pub fn name(&self) -> String {
        let host = |host: &Host| match host.name.contains(':') {
            true => format!("[{}]:{}", host.name, host.port),
            false => format!("{}:{}", host.name, host.port),
        };
        let hosts = self.hosts.iter().map(host).collect::<Vec<_>>().join(",");
        format!("postgresql://{}@{hosts}/{}", self.user, self.database)
    }
}

/// `user:password` and what follows the `@`.
fn split_user_info(rest: &str) -> (&str, &str) {
    let Some(first) = rest.find('@') else { return ("", rest) };
    // An @ in the query belongs to it; in front of it a host has none, so the last one ends the password.
    let query = rest[first..].find('?').map_or(rest.len(), |at| first + at);
    let at = rest[..query].rfind('@').unwrap_or(first);
    let user = rest[..at].split(':').next().unwrap_or_default();
    if user.contains(['/', '?']) { ("", rest) } else { (&rest[..at], &rest[at + 1..]) }
}

fn decoded(text: &str) -> Result<String, Stop> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| Stop::Usage("the database URL is not valid UTF-8".to_owned()))
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// What a URL says; the rest is open.
#[derive(Default)]
struct Said {
    /// Each with the port that stands behind it, which may be none or no number.
    hosts: Vec<(String, Option<String>)>,
    addresses: Option<String>,
    port: Option<String>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    options: Option<String>,
    application_name: Option<String>,
    connect_timeout: Option<String>,
    ssl_mode: Option<String>,
    ssl_root_cert: Option<String>,
    ssl_cert: Option<String>,
    ssl_key: Option<String>,
    pass_file: Option<String>,
    session: Option<String>,
}

impl Said {
    fn set(&mut self, key: &str, value: String) -> Result<(), Stop> {
        let field = match key {
            "host" => {
                self.hosts.extend(value.split(',').map(split_port));
                return Ok(());
            }
            "hostaddr" => &mut self.addresses,
            "port" => &mut self.port,
            "user" => &mut self.user,
            "password" => &mut self.password,
            "dbname" => &mut self.database,
            "options" => &mut self.options,
            "application_name" => &mut self.application_name,
            "connect_timeout" | "timeout" => &mut self.connect_timeout,
            // asyncpg says ssl where libpq says sslmode.
            "sslmode" | "ssl" => &mut self.ssl_mode,
            "sslrootcert" => &mut self.ssl_root_cert,
            "sslcert" => &mut self.ssl_cert,
            "sslkey" => &mut self.ssl_key,
            "passfile" => &mut self.pass_file,
            "target_session_attrs" => &mut self.session,
            "sslcrl" | "sslcrldir" | "sslpassword" | "service" | "requirepeer" => {
                return Err(Stop::Usage(format!("the option {key} of the database URL is not supported: leave it out")));
            }
            // Of the driver, and of no effect on what is stored.
            _ => return Ok(()),
        };
        *field = Some(value);
        Ok(())
    }

    fn complete(self, around: &dyn Surroundings) -> Result<Settings, Stop> {
        let variable = |said: Option<String>, name: &str| said.or_else(|| around.variable(name));
        let home = around.variable("HOME").map(PathBuf::from);
        let user = variable(self.user, "PGUSER")
            .or_else(|| around.variable("USER"))
            .or_else(|| around.variable("LOGNAME"))
            .ok_or_else(|| Stop::Usage("the database URL names no user: postgresql://USER@HOST/DATABASE".to_owned()))?;
        let database = variable(self.database, "PGDATABASE").unwrap_or_else(|| user.clone());
        if around.variable("PGSERVICE").is_some() {
            return Err(Stop::Usage("PGSERVICE is not supported: give what the service says as a URL".to_owned()));
        }
        let ports = variable(self.port, "PGPORT").unwrap_or_else(|| "5432".to_owned());
        let addresses = variable(self.addresses, "PGHOSTADDR");
        let mut named = self.hosts;
        if named.is_empty() {
            let default = || if addresses.is_some() { String::new() } else { default_host(around) };
            let said = around.variable("PGHOST").unwrap_or_else(default);
            named = said.split(',').map(split_port).collect();
        }
        let mut hosts = hosts(named, addresses.as_deref(), &ports)?;
        let password = variable(self.password, "PGPASSWORD");
        let file = variable(self.pass_file, "PGPASSFILE").map(PathBuf::from);
        let file = file.or_else(|| Some(home.as_ref()?.join(".pgpass"))).filter(|_| password.is_none());
        let text = file.as_deref().and_then(|file| around.private_file(file));
        for host in &mut hosts {
            host.password = text.as_ref().and_then(|text| password_of(text, host, &database, &user));
        }
        let open_pass_file = file.filter(|file| text.is_none() && around.exists(file));
        let seconds = variable(self.connect_timeout, "PGCONNECT_TIMEOUT").map(|text| text.trim().parse::<f64>());
        let seconds = seconds.transpose().map_err(|_| Stop::Usage("connect_timeout is no number of seconds".to_owned()))?;
        let in_home = |name: &str| home.as_ref().map(|home| home.join(".postgresql").join(name));
        let there = |path: Option<PathBuf>| path.filter(|path| around.exists(path));

        let mode = variable(self.ssl_mode, "PGSSLMODE");
        let root = variable(self.ssl_root_cert, "PGSSLROOTCERT");
        let mut ssl_mode = ssl_mode(mode.as_deref())?;
        let system = root.as_deref() == Some("system");
        if system {
            ssl_mode = SslMode::VerifyFull;
        }
        let ssl_root_cert = if system { None } else { root.map(PathBuf::from).or_else(|| there(in_home("root.crt"))) };
        if ssl_mode == SslMode::Require && ssl_root_cert.is_some() {
            // As libpq: who has an authority wants it asked.
            ssl_mode = SslMode::VerifyCa;
        }
        if hosts.iter().all(Host::is_socket) {
            ssl_mode = SslMode::Disable;
        }
        let certificate = variable(self.ssl_cert, "PGSSLCERT").map(PathBuf::from);
        let key = variable(self.ssl_key, "PGSSLKEY").map(PathBuf::from);
        let certificate = certificate.or_else(|| there(in_home("postgresql.crt")));
        let key = key.or_else(|| there(in_home("postgresql.key")));
        let session = variable(self.session, "PGTARGETSESSIONATTRS");
        Ok(Settings {
            hosts,
            user,
            password,
            open_pass_file,
            database,
            options: variable(self.options, "PGOPTIONS"),
            application_name: variable(self.application_name, "PGAPPNAME").unwrap_or_else(|| "agno-migrate".to_owned()),
            connect_timeout: seconds.filter(|seconds| *seconds > 0.0 && *seconds < 1e9).map(Duration::from_secs_f64),
            ssl_mode,
            ssl_root_cert,
            ssl_client: certificate.zip(key),
            read_write: matches!(session.as_deref(), Some("read-write" | "primary")),
        })
    }
}

/// The socket that Debian's and other packages make, else the loopback address.
fn default_host(around: &dyn Surroundings) -> String {
    let sockets = ["/var/run/postgresql", "/tmp"];
    let found = sockets.iter().find(|folder| around.exists(&Path::new(folder).join(".s.PGSQL.5432")));
    (*found.unwrap_or(&"localhost")).to_owned()
}

/// A host of a URL, decoded after its port was split off: the directory of a socket may be percent-encoded.
fn address(text: &str) -> Result<(String, Option<String>), Stop> {
    let (name, port) = split_port(text);
    Ok((decoded(&name)?, port.map(|port| decoded(&port)).transpose()?))
}

/// `host`, `host:port`, `[::1]:port`, `::1` or the directory of a socket.
fn split_port(host: &str) -> (String, Option<String>) {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => (address, rest.strip_prefix(':')),
        None if host.starts_with('/') || host.matches(':').count() > 1 => (host, None),
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    (name.to_owned(), port.filter(|port| !port.is_empty()).map(str::to_owned))
}

/// Lists of hosts, addresses and ports belong together by their places; one port is that of all.
fn hosts(named: Vec<(String, Option<String>)>, addresses: Option<&str>, ports: &str) -> Result<Vec<Host>, Stop> {
    let ports: Vec<&str> = ports.split(',').map(str::trim).collect();
    let addresses: Vec<&str> = addresses.map(|list| list.split(',').map(str::trim).collect()).unwrap_or_default();
    let unnamed = named.iter().all(|(name, _)| name.is_empty());
    let count = if unnamed { addresses.len().max(1) } else { named.len() };
    let fits = |list: usize| list <= 1 || list == count;
    if !fits(ports.len()) || !(addresses.is_empty() || addresses.len() == count) {
        return Err(Stop::Usage(
            "there are more ports or addresses than hosts, or fewer: one for each, or one port for all".to_owned(),
        ));
    }
    let host = |at: usize| {
        let (name, port) = named.get(at).cloned().unwrap_or_default();
        let address = addresses.get(at).copied().filter(|address| !address.is_empty());
        let port = port.as_deref().or(ports.get(at).or(ports.first()).copied()).filter(|port| !port.is_empty());
        let number = port.unwrap_or("5432").parse().map_err(|_| {
            Stop::Usage(
                "the port in the database URL is no number (is there an unencoded / or : in the password? write %2F, %3A)"
                    .to_owned(),
            )
        });
        let no_address = |_| Stop::Usage("hostaddr is no IP address: say host".to_owned());
        Ok(Host {
            name: if name.is_empty() { address.unwrap_or("localhost").to_owned() } else { name },
            port: number?,
            address: address.map(|address| address.parse().map_err(no_address)).transpose()?,
            password: None,
        })
    };
    (0..count).map(host).collect()
}

fn ssl_mode(said: Option<&str>) -> Result<SslMode, Stop> {
    Ok(match said.map(str::to_ascii_lowercase).as_deref() {
        Some("disable" | "false") => SslMode::Disable,
        None | Some("prefer" | "allow") => SslMode::Prefer,
        Some("require" | "true") => SslMode::Require,
        Some("verify-ca") => SslMode::VerifyCa,
        Some("verify-full") => SslMode::VerifyFull,
        Some(_) => {
            return Err(Stop::Usage("sslmode is one of disable, prefer, require, verify-ca, verify-full".to_owned()));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Fake {
        variables: BTreeMap<&'static str, &'static str>,
        files: BTreeMap<&'static str, &'static str>,
    }

    impl Surroundings for Fake {
        fn variable(&self, name: &str) -> Option<String> {
            self.variables.get(name).map(|value| (*value).to_owned())
        }
        fn private_file(&self, path: &Path) -> Option<String> {
            self.files.get(path.to_str()?).map(|text| (*text).to_owned())
        }
        fn exists(&self, path: &Path) -> bool {
            path.to_str().is_some_and(|path| self.files.contains_key(path))
        }
    }

    fn read(rest: &str) -> Settings {
        Settings::read(rest, &Fake::default()).unwrap_or_else(|stop| panic!("{rest}: {stop}"))
    }

    fn hosts(rest: &str) -> Vec<(String, u16)> {
        read(rest).hosts.into_iter().map(|host| (host.name, host.port)).collect()
    }

    #[test]
    fn lists_belong_together_as_in_libpq() {
        let pairs = [("a".to_owned(), 1), ("b".to_owned(), 2)];
        assert_eq!(hosts("me@/d?host=a,b&port=1,2"), pairs);
        assert_eq!(hosts("me@a,b/d?port=7"), [("a".to_owned(), 7), ("b".to_owned(), 7)]);
        assert_eq!(hosts("u@%2Ftmp%2Fdir:5555/db"), [("/tmp/dir".to_owned(), 5555)]);
        let around = Fake { variables: [("PGHOST", "a,b"), ("PGPORT", "1,2"), ("PGUSER", "me")].into(), ..Fake::default() };
        let read_from = |around: &Fake| Settings::read("", around).unwrap_or_else(|stop| panic!("{stop}"));
        assert_eq!(read_from(&around).name(), "postgresql://me@a:1,b:2/me");
        assert!(matches!(Settings::read("me@a,b,c/d?port=1,2", &Fake::default()), Err(Stop::Usage(_))));
        // An address says where its host is.
        let settings = read("me@db:7/d?hostaddr=10.0.0.1&sslmode=verify-full");
        assert_eq!(settings.name(), "postgresql://me@db:7/d");
        assert_eq!(settings.hosts[0].address, "10.0.0.1".parse().ok());
        assert_eq!(hosts("me@/d?hostaddr=10.0.0.1&port=7"), [("10.0.0.1".to_owned(), 7)]);
        assert!(matches!(Settings::read("me@h/d?hostaddr=db", &Fake::default()), Err(Stop::Usage(_))));
    }

    #[test]
    fn a_socket_has_no_tls_and_every_host_its_password() {
        let around = Fake {
            variables: [("HOME", "/home/ann"), ("PGSSLMODE", "verify-full"), ("PGUSER", "ann")].into(),
            files: [("/home/ann/.pgpass", "b:*:*:*:of b\n"), ("/home/ann/.postgresql/root.crt", "")].into(),
        };
        let read = |rest: &str| Settings::read(rest, &around).unwrap_or_else(|stop| panic!("{rest}: {stop}"));
        assert_eq!(read("/d?host=/run/pg").ssl_mode, SslMode::Disable);
        let passwords: Vec<_> = read("a,b/d").hosts.into_iter().map(|host| host.password).collect();
        assert_eq!(passwords, [None, Some("of b".to_owned())]);
        assert_eq!(read("h/d?sslmode=require").ssl_mode, SslMode::VerifyCa);
        let around = Fake { variables: [("PGSERVICE", "mine"), ("PGUSER", "me")].into(), ..Fake::default() };
        assert!(matches!(Settings::read("h/d", &around), Err(Stop::Usage(why)) if why.contains("PGSERVICE")));
    }

    #[test]
    fn urls_are_read_as_the_app_reads_them() {
        let plain = read("me:secret@db.example:6432/agno");
        assert_eq!(plain.name(), "postgresql://me@db.example:6432/agno");
        assert_eq!(plain.password.as_deref(), Some("secret"));
        for (url, password) in [
            ("me:a%40b%3A%2F%3F%23%25%20c@h/d", "a@b:/?#% c"),
            ("me:p/w#d:x@h/d", "p/w#d:x"),
            ("me:a@b@h/d", "a@b"),
            ("me:?x@h/d", "?x"),
            ("me:@h/d", ""),
        ] {
            let settings = read(url);
            assert_eq!(settings.password.as_deref(), Some(password), "{url}");
            assert_eq!(settings.name(), "postgresql://me@h:5432/d", "{url}");
        }
        assert_eq!(hosts("me@[::1]:5433/d"), [("::1".to_owned(), 5433)]);
        assert_eq!(hosts("me@a:1,b:2/d"), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
        assert_eq!(hosts("me@/d?host=/run/pg&port=5555"), [("/run/pg".to_owned(), 5555)]);
        assert_eq!(hosts("me@/d?host=a:1&host=b:2"), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let options = read("me@h/d?options=-csearch_path%3Dx,y&sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=3");
        assert_eq!(options.options.as_deref(), Some("-csearch_path=x,y"));
        assert_eq!(options.ssl_mode, SslMode::VerifyFull);
        assert_eq!(options.ssl_root_cert.as_deref(), Some(Path::new("/ca.pem")));
        assert_eq!(options.connect_timeout, Some(Duration::from_secs(3)));
        assert_eq!(read("me@h/d?sslmode=require&sslrootcert=/ca").ssl_mode, SslMode::VerifyCa);
        assert_eq!(read("me@h/d?sslrootcert=system").ssl_mode, SslMode::VerifyFull);
        assert_eq!(read("me@h").database, "me");
        assert_eq!(hosts("me@h/d?email=a@b"), [("h".to_owned(), 5432)]);
    }

    #[test]
    fn the_environment_fills_what_the_url_leaves_open() {
        let around = Fake {
            variables: [
                ("PGUSER", "ann"),
                ("PGHOST", "db"),
                ("PGPORT", "7"),
                ("PGSSLMODE", "require"),
                ("HOME", "/home/ann"),
            ]
            .into(),
            files: [("/home/ann/.pgpass", "# mine\nother:*:*:*:no\ndb:7:*:ann:it\\:s\\\\me:too\n")].into(),
        };
        let settings = Settings::read("", &around).unwrap_or_else(|stop| panic!("{stop}"));
        assert_eq!(settings.name(), "postgresql://ann@db:7/ann");
        assert_eq!(settings.hosts[0].password.as_deref(), Some("it:s\\me:too"));
        assert_eq!(settings.ssl_mode, SslMode::Require);
        let settings = Settings::read("bob:x@h:1/d?sslmode=disable", &around).unwrap_or_else(|stop| panic!("{stop}"));
        assert_eq!((settings.user.as_str(), settings.password.as_deref()), ("bob", Some("x")));
        assert_eq!(settings.ssl_mode, SslMode::Disable);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for url in
            ["me:hunter2@h:port/d", "me:hunter2@h/d?sslmode=maybe", "me:hunter2@h/d?sslcrl=x", "me:hunter2@h/%ff", "h/d"]
        {
            match Settings::read(url, &Fake::default()) {
                Err(stop @ Stop::Usage(_)) => assert!(!stop.to_string().contains("hunter2"), "{stop}"),
                _ => panic!("{url}"),
            }
        }
    }
}
