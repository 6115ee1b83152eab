//! Background processes that outlive this one, and their identity: a process id alone may have been given to another since.

use crate::sh;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at again.
pub const TICK: Duration = Duration::from_millis(50);

/// One process: its id, its start time in clock ticks since boot, and which boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The process id.
    pub pid: i32,
    start: u64,
    boot: String,
}

impl Process {
    /// The process that has this id now, unless it is a zombie.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, start) = parse_stat(&stat)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_string();
        (!matches!(state, 'Z' | 'X')).then_some(Self { pid, start, boot })
    }

    /// All processes of this machine.
    pub fn all() -> impl Iterator<Item = Self> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|e| Self::of(e.file_name().to_str()?.parse().ok()?))
    }

    /// Whether this very process still runs.
    pub fn alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Signals this very process: one that has taken over its id is left alone.
    pub fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let Ok(fd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        if self.alive() {
            // It may end at any moment, which is what is wanted.
            let _ = pidfd_send_signal(&fd, signal);
        }
    }

    /// Its program and arguments, with a blank between them.
    pub fn command_line(&self) -> String {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let words: Vec<_> = line.split(|b| *b == 0).map(String::from_utf8_lossy).collect();
        words.join(" ").trim_end().to_string()
    }

    /// Whether its network namespace has a TCP listener on `port`.
    pub fn listens(&self, port: u16) -> bool {
        let table = |name: &str| fs::read_to_string(format!("/proc/{}/net/{name}", self.pid)).unwrap_or_default();
        ["tcp", "tcp6"].iter().any(|t| has_listener(&table(t), port))
    }

    fn load(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let mut words = text.split_whitespace();
        let (pid, start) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { pid, start, boot: words.next()?.into() })
    }
}

/// The state letter and start time of /proc/PID/stat; the command name before them may hold anything.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Whether a /proc/net/tcp table has a socket in LISTEN (0A) on a local port.
fn has_listener(table: &str, port: u16) -> bool {
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).any(|l| {
        let fields: Vec<_> = l.split_whitespace().take(4).collect();
        matches!(fields[..], [_, local, _, "0A"] if local.ends_with(&suffix))
    })
}

/// Daemons by name, each with a file for its identity and one for its log.
#[derive(Clone, Debug)]
pub struct Daemons {
    pids: PathBuf,
    logs: PathBuf,
}

impl Daemons {
    /// Keeps its files under `state`.
    pub fn new(state: &Path) -> Self {
        Self { pids: state.join("pids"), logs: state.join("log") }
    }

    /// The log of a daemon.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// The daemon of this name if it runs.
    pub fn find(&self, name: &str) -> Option<Process> {
        Process::load(&self.pids.join(name)).filter(Process::alive)
    }

    /// Names of all daemons that were started and not stopped.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.pids).into_iter().flatten().flatten();
        entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Starts a daemon in a session of its own: out of reach of the terminal's Ctrl-C, and as a service of systemd with a share of the
    /// processor to itself (sched(7), autogroups). Where all had one share between them, pods came to none for up to a second.
    pub fn start(&self, name: &str, cmd: &Command) -> Result<Process> {
        fs::create_dir_all(&self.pids)?;
        fs::create_dir_all(&self.logs)?;
        let log = File::create(self.log(name))?;
        let mut own = in_own_session(cmd);
        own.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = own.spawn().with_context(|| format!("cannot start {name}: {}", sh::show(cmd)))?;
        let Some(process) = Process::of(child.id().cast_signed()) else {
            bail!("{name} ended at once: {}", self.last_words(name));
        };
        fs::write(self.pids.join(name), format!("{} {} {}\n", process.pid, process.start, process.boot))?;
        Ok(process)
    }

    /// Waits until `ready` holds; an error if the daemon ends first or `limit` has passed.
    pub fn wait(&self, name: &str, limit: Duration, ready: impl Fn(&Process) -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let Some(process) = self.find(name) else {
                bail!("{name} ended: {}", self.last_words(name));
            };
            if ready(&process) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{name} was not ready within {} s: {}", limit.as_secs(), self.last_words(name));
            }
            thread::sleep(TICK);
        }
    }

    fn last_words(&self, name: &str) -> String {
        let path = self.log(name);
        let log = fs::read(&path).unwrap_or_default();
        format!("its log {} ends with\n{}", path.display(), sh::tail(&String::from_utf8_lossy(&log), 15))
    }

    /// Stops daemons: SIGTERM, and SIGKILL for those that are still there after `grace`.
    pub fn stop(&self, names: &[&str], grace: Duration) {
        let running: Vec<_> = names.iter().filter_map(|n| self.find(n)).collect();
        end(&running, grace);
        for name in names {
            // Absent if it never ran.
            let _ = fs::remove_file(self.pids.join(name));
        }
    }
}

/// The same by `setsid`, which becomes the program and keeps its process id.
fn in_own_session(cmd: &Command) -> Command {
    let mut own = Command::new("setsid");
    own.arg(cmd.get_program()).args(cmd.get_args());
    for (name, value) in cmd.get_envs() {
        match value {
            Some(value) => own.env(name, value),
            None => own.env_remove(name),
        };
    }
    if let Some(dir) = cmd.get_current_dir() {
        own.current_dir(dir);
    }
    own
}

/// Ends processes: SIGTERM unless `grace` is zero, then SIGKILL, then waits until all are gone.
pub fn end(processes: &[Process], grace: Duration) {
    if !grace.is_zero() {
        processes.iter().for_each(|p| p.signal(Signal::TERM));
        if gone(processes, grace) {
            return;
        }
    }
    processes.iter().for_each(|p| p.signal(Signal::KILL));
    if !gone(processes, Duration::from_secs(20)) {
        let left: Vec<_> = processes.iter().filter(|p| p.alive()).map(|p| p.pid).collect();
        eprintln!("these processes do not end even when killed: {left:?}");
    }
}

fn gone(processes: &[Process], limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while processes.iter().any(Process::alive) {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn stat_is_read_past_any_command_name() {
        let rest = (4..22).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(parse_stat(&format!("7 (a) b) Z) S {rest} 4242 23 24")), Some(('S', 4242)));
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn a_listener_is_told_from_a_connection() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue\n";
        let row = |port: &str, st: &str| format!("{head}   0: 0100C612:{port} 00000000:0000 {st} 0:0\n");
        assert!(has_listener(&row("2384", "0A"), 9092));
        assert!(!has_listener(&row("2384", "01"), 9092));
        assert!(!has_listener(&row("2385", "0A"), 9092));
    }

    #[test]
    fn a_daemon_is_found_stopped_and_never_mistaken_for_another() {
        let dir = tempfile::tempdir().unwrap();
        let daemons = Daemons::new(dir.path());
        let process = daemons.start("sleeper", Command::new("sleep").arg("1000")).unwrap();
        assert_eq!(daemons.find("sleeper"), Some(process.clone()));

        let recycled = Process { start: process.start + 1, ..process.clone() };
        recycled.signal(Signal::KILL);
        assert!(process.alive() && !recycled.alive());

        daemons.stop(&["sleeper"], Duration::from_secs(30));
        assert!(!process.alive() && daemons.find("sleeper").is_none() && daemons.names().is_empty());
    }

    #[test]
    fn a_daemon_that_ends_is_an_error_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let daemons = Daemons::new(dir.path());
        daemons.start("short", Command::new("sh").args(["-c", "echo no such luck; exit 3"])).ok();
        let error = daemons.wait("short", Duration::from_secs(30), |_| false).unwrap_err().to_string();
        assert!(error.contains("short ended") && error.contains("no such luck"), "{error}");
    }
}
