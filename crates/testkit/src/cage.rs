//! One lab's private world: PID, mount and network namespaces that end with their owner.
//!
//! The first process in it does nothing but read its standard input, a pipe whose other end only the owner holds.
//! However the owner ends, the kernel closes the pipe, the reader ends, and because it is process 1 of a PID
//! namespace the kernel then kills everything else in there; namespaces, devices and mounts go with the last process.
//! A parent-death signal would not do: it is bound to the *thread* that started the child.
//!
//! Processes enter by [`Cage::spawn`]: a short-lived thread joins the namespaces and starts them, so they are direct
//! children of the owner (waitable, signalled by their own id) without any helper process in between.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    net::Ipv4Addr,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::sched::{CloneFlags, setns, unshare};

use crate::{LabError, component::Component, ended::ended};

/// Address of the lab's own end of the network, where tests and hub processes run.
pub(crate) const LAN: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 1);

/// Folder inside the lab for data that vanishes with it; short, because Velero puts sockets below it.
pub(crate) const DATA: &str = "/run/lab";

/// Runs as process 1. Its own `/run` keeps named network namespaces and all data inside. The id is read before
/// `/proc` is replaced: it is the one that the outside knows.
///
/// There are two networks. `lan` is what hosts and tests talk over and what a partition cuts; `back` only
/// carries the clusters' traffic to etcd, so that a cluster cut off from the others goes on working.
const INIT: &str = r#"
set -e
read -r outer_pid rest </proc/self/stat
mount -t proc proc /proc
mount -t tmpfs -o mode=755 lab /run
mkdir /run/netns /run/lab
ip link set lo up
ip link add lan type bridge
ip address add "$1/16" dev lan
ip link set lan up
ip link add back type bridge
ip link set back up
echo "$outer_pid"
exec >/dev/null
while read -r ignored; do :; done
"#;

/// One more host: `$1` name, `$2` address in the LAN, `$3` address in the back network.
const HOST: &str = r#"
set -e
ip netns add "$1"
ip link add "$1" type veth peer name eth0 netns "$1"
ip link set "$1" master lan up
ip link add "b-$1" type veth peer name eth1 netns "$1"
ip link set "b-$1" master back up
ip -n "$1" link set lo up
ip -n "$1" address add "$2/16" dev eth0
ip -n "$1" link set eth0 up
ip -n "$1" address add "$3/16" dev eth1
ip -n "$1" link set eth1 up
"#;

/// A machine in the lab: a named network namespace with an address.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    net: File,
}

impl Host {
    /// The address that a cut of the LAN leaves alone.
    pub(crate) fn back_address(&self) -> Ipv4Addr {
        back_address(self.address)
    }
}

fn back_address(lan: Ipv4Addr) -> Ipv4Addr {
    let [_, _, high, low] = lan.octets();
    Ipv4Addr::new(10, 18, high, low)
}

/// The namespaces of one lab.
pub(crate) struct Cage {
    init: Mutex<Child>,
    pipe: Mutex<Option<ChildStdin>>,
    pid: u32,
    pid_ns: File,
    mount_ns: File,
    lan: File,
    hosts: Mutex<BTreeMap<String, Arc<Host>>>,
}

impl Cage {
    pub(crate) fn open() -> Result<Self, LabError> {
        let failed = |said: String| network("make the namespaces", said);
        let mut init = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "--mount", "--net", "sh", "-c", INIT, "lab-init"])
            .arg(LAN.to_string())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| failed(format!("unshare: {e}")))?;
        let pipe = init.stdin.take();
        let mut line = String::new();
        if let Some(out) = init.stdout.take() {
            BufReader::new(out).read_line(&mut line).map_err(|e| failed(e.to_string()))?;
        }
        let Ok(pid) = line.trim().parse::<u32>() else {
            drop(pipe);
            let mut said = String::new();
            if let Some(mut err) = init.stderr.take() {
                // What could not be read is not worth more than the failure itself.
                let _ = err.read_to_string(&mut said);
            }
            let _ = init.wait();
            return Err(failed(said.trim().to_owned()));
        };
        let open =
            |kind: &str| File::open(format!("/proc/{pid}/ns/{kind}")).map_err(|e| failed(e.to_string()));
        let (pid_ns, mount_ns, lan) = (open("pid")?, open("mnt")?, open("net")?);
        Ok(Self {
            init: Mutex::new(init),
            pipe: Mutex::new(pipe),
            pid,
            pid_ns,
            mount_ns,
            lan,
            hosts: Mutex::new(BTreeMap::new()),
        })
    }

    /// Process 1 of the lab, by the id that the outside sees.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// A path below [`DATA`] as the outside reaches it.
    pub(crate) fn data(&self, below: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{DATA}/{below}", self.pid))
    }

    /// Adds a machine to both networks.
    pub(crate) fn add_host(&self, name: &str, address: Ipv4Addr) -> Result<Arc<Host>, LabError> {
        let back = back_address(address);
        let step = format!("add the host `{name}`");
        self.shell(&step, HOST, &[name, &address.to_string(), &back.to_string()])?;
        // The name is only visible inside; /proc leads there.
        let net = File::open(format!("/proc/{}/root/run/netns/{name}", self.pid))
            .map_err(|e| network(&step, e.to_string()))?;
        let host = Arc::new(Host { name: name.to_owned(), address, net });
        lock(&self.hosts).insert(name.to_owned(), Arc::clone(&host));
        Ok(host)
    }

    pub(crate) fn host(&self, name: &str) -> Option<Arc<Host>> {
        lock(&self.hosts).get(name).cloned()
    }

    /// Connects or cuts a host's cable to the LAN.
    pub(crate) fn set_link(&self, host: &str, up: bool) -> Result<(), LabError> {
        let Some(host) = self.host(host) else {
            return Err(LabError::Absent { what: format!("host `{host}`") });
        };
        let state = if up { "up" } else { "down" };
        self.shell(
            &format!("set the link `{}` {state}", host.name),
            "ip link set \"$1\" \"$2\"",
            &[&host.name, state],
        )
    }

    /// Runs a few lines of shell as the lab's root and waits for their end.
    pub(crate) fn shell(&self, step: &str, script: &str, args: &[&str]) -> Result<(), LabError> {
        let mut command = Command::new("sh");
        command.args(["-c", script, "lab"]).args(args).stdin(Stdio::null());
        let output = self
            .spawn(None, command.stdout(Stdio::null()).stderr(Stdio::piped()))
            .and_then(Child::wait_with_output)
            .map_err(|e| network(step, e.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(network(step, String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    /// Starts a process on a host, or on the LAN itself; it keeps the caller's working directory.
    pub(crate) fn spawn(&self, host: Option<&Host>, command: &mut Command) -> io::Result<Child> {
        let net = host.map_or(&self.lan, |host| &host.net);
        let folder = std::env::current_dir()?;
        on_own_thread(move || {
            // A mount namespace can only be joined by a thread that shares its working directory with no other.
            unshare(CloneFlags::CLONE_FS)?;
            setns(&self.mount_ns, CloneFlags::CLONE_NEWNS)?;
            setns(net, CloneFlags::CLONE_NEWNET)?;
            // Only children of this thread are in the PID namespace, so it must not start threads from here on.
            setns(&self.pid_ns, CloneFlags::CLONE_NEWPID)?;
            std::env::set_current_dir(&folder)?;
            command.spawn()
        })
    }

    /// Moves the calling thread into the LAN until the guard is dropped; threads it starts meanwhile are born there.
    pub(crate) fn enter(&self) -> io::Result<Entered> {
        let home = File::open("/proc/thread-self/ns/net")?;
        setns(&self.lan, CloneFlags::CLONE_NEWNET)?;
        Ok(Entered { home })
    }

    /// Runs a future in the LAN, on a runtime of its own with several threads, to its end.
    ///
    /// # Panics
    /// Inside another runtime, and where the kernel refuses to change the network namespace.
    #[expect(
        clippy::expect_used,
        reason = "a test has no other way on, and a Result here would burden every one"
    )]
    pub(crate) fn run<F: Future>(&self, work: F) -> F::Output {
        // The runtime is dropped, and its threads with it, before this thread goes home.
        let _inside = self.enter().expect("cannot enter the lab's network");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("cannot start a runtime in the lab's network");
        runtime.block_on(work)
    }

    /// Kills everything inside and waits for it. The components are the owner's own children: process 1 can only end
    /// when all others are waited for.
    pub(crate) fn end<'a>(&self, components: impl Iterator<Item = &'a Component>) {
        self.close();
        components.for_each(Component::reap);
        self.wait(Duration::from_secs(10));
    }

    /// Runs a future in the LAN to its end, also where the caller is itself inside a runtime.
    pub(crate) fn block_on<T: Send, F: Future<Output = T>>(
        &self,
        work: impl FnOnce() -> F + Send,
    ) -> io::Result<T> {
        on_own_thread(|| {
            let _inside = self.enter()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(work()))
        })
    }

    /// Kills everything inside. The owner's own children become zombies that it has to wait for.
    fn close(&self) {
        drop(lock(&self.pipe).take());
    }

    /// Waits until process 1 is gone, which is after all others are.
    fn wait(&self, bound: Duration) {
        // What remains of a lab that does not end is the kernel's affair, and no test's.
        let _ = ended(&mut lock(&self.init), bound);
    }
}

/// A thread's stay in the lab's LAN.
pub(crate) struct Entered {
    home: File,
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Err(error) = setns(&self.home, CloneFlags::CLONE_NEWNET) {
            tracing::error!(%error, "this thread cannot leave the lab's network");
        }
    }
}

/// The content, also if another thread panicked while holding it: all guarded values here are valid at any moment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn network(step: &str, said: String) -> LabError {
    LabError::Network { step: step.to_owned(), said }
}
