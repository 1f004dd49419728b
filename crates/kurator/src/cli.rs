//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use kurator_api::fleet::{Engine, Installer};

use crate::failure::Failure;
use crate::quickstart::{self, QuickstartFlags};
use crate::verbs::create::{self, BackupCommand, MigrateCommand, RestoreCommand};
use crate::verbs::describe::{self, DescribeFlags};
use crate::verbs::get::{self, GetFlags};
use crate::verbs::hub::HubFlags;
use crate::verbs::output;
use crate::{engine, process, rbac, serve};

/// Back up and restore Kubernetes workloads over a fleet of clusters.
#[derive(Parser)]
#[command(name = "kurator", version, disable_help_subcommand = true, after_help = EXIT_CODES)]
pub(crate) struct Flags {
    #[command(flatten)]
    hub: HubFlags,

    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage; with --wait also 3 for a run that was done in part, 4 for one \
                          that failed, 5 for one that has not ended in time, 130 after Ctrl-C";

#[derive(Subcommand)]
enum Command {
    /// See it work: a hub, members and an object store in this process
    ///
    /// Walks through the whole story (attach, fleet, backup, disaster, restore, schedule, restore of a part, labels, migrate)
    /// and leaves everything running until Ctrl-C. Needs nothing but this program: the clusters are in memory and hold
    /// objects, nothing runs in them; all of it is reachable from this machine alone, and gone at the end.
    Quickstart(QuickstartFlags),

    /// Show what there is on a hub, and how it stands
    ///
    /// Clusters, fleets, backups, restores and migrations; without a kind, all of them.
    Get(GetFlags),

    /// Show one object in full: its clusters, conditions and events
    Describe(DescribeFlags),

    /// Back clusters up
    #[command(subcommand)]
    Backup(BackupCommand),

    /// Restore what was backed up
    #[command(subcommand)]
    Restore(RestoreCommand),

    /// Copy workloads between clusters
    #[command(subcommand)]
    Migrate(MigrateCommand),

    /// Run the controllers of a hub
    ///
    /// Installs the CRDs, then follows AttachedClusters, Fleets, Backups, Restores and Migrates, and the member
    /// clusters, until it is ended. Several processes may run; one leads. With engine Builtin it executes the backups
    /// and restores of the members itself, and nothing has to be in them. For engine Velero, this version needs Velero
    /// in the members already: serve with --default-installer none, or say so in each Fleet.
    Serve(ServeFlags),

    /// Run the built-in engine for one cluster
    ///
    /// Executes the cluster's velero.io Backups, Restores and Schedules in Velero's place: nothing has to run in the
    /// cluster but its API server. The velero.io CRDs and a BackupStorageLocation must be there, a Velero server must
    /// not. What it stores Velero restores, and the other way round; data of volumes is not stored.
    Engine(EngineFlags),

    /// Print the rights that Kurator needs in a cluster
    ///
    /// A manifest with a ServiceAccount that has them, in namespace `kurator`, and its token:
    /// kurator rbac hub | kubectl apply -f -
    Rbac {
        /// What the cluster is to Kurator
        #[arg(value_enum)]
        place: rbac::Place,
    },

    /// Print a script that lets a shell complete commands
    ///
    /// For bash: source <(kurator completion bash)
    Completion {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// Options of `serve`.
#[derive(clap::Args)]
pub(crate) struct ServeFlags {
    /// Kubeconfig of the hub, instead of $KUBECONFIG and ~/.kube/config; in a pod without one, its service account
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig, instead of its current one
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// Address of /healthz, /readyz and /metrics
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,

    /// Namespace of the Lease that decides who leads; the pod's own, else `default`
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub(crate) lease_namespace: Option<String>,

    /// Who executes the backups of a Fleet that names no engine: Velero in the members, or this process
    #[arg(long, value_enum, default_value_t = EngineFlag::Velero, ignore_case = true)]
    pub(crate) default_engine: EngineFlag,

    /// Memory for the runs of the built-in engine, in MiB; 64 for each that goes at once, the others wait
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u32).range(64..))]
    pub(crate) engine_memory: u32,

    /// Folder for temporary files of the built-in engine: room for the largest backups, compressed, and what is
    /// restored of them
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: Option<PathBuf>,

    /// Installer of backup plugins whose Fleet names none; `none`: Velero is there already
    #[arg(long, value_enum, default_value_t = InstallerFlag::Helm, ignore_case = true)]
    pub(crate) default_installer: InstallerFlag,

    /// Accept kubeconfigs of members that point to this machine
    #[arg(long)]
    pub(crate) allow_loopback_members: bool,

    /// Objects of one kind that are worked on at the same time
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) concurrency: u16,

    /// Format of the log on stderr; RUST_LOG filters it
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// Options of `engine`.
#[derive(clap::Args)]
pub(crate) struct EngineFlags {
    /// Kubeconfig of the cluster, instead of $KUBECONFIG and ~/.kube/config; in a pod without one, its service account
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig, instead of its current one
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// Namespace of the velero.io objects
    #[arg(long, default_value = "velero", value_name = "NAMESPACE")]
    pub(crate) namespace: String,

    /// Folder for temporary files: room for the largest backup, compressed, and what is restored of it
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: Option<PathBuf>,

    /// Allow locations of provider kurator.dev/local below this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) allow_local_store: Option<PathBuf>,

    /// Format of the log on stderr; RUST_LOG filters it
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum EngineFlag {
    Velero,
    Builtin,
}

impl From<EngineFlag> for Engine {
    fn from(flag: EngineFlag) -> Self {
        match flag {
            EngineFlag::Velero => Self::Velero,
            EngineFlag::Builtin => Self::Builtin,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum InstallerFlag {
    Helm,
    Flux,
    None,
}

impl From<InstallerFlag> for Installer {
    fn from(flag: InstallerFlag) -> Self {
        match flag {
            InstallerFlag::Helm => Self::Helm,
            InstallerFlag::Flux => Self::Flux,
            InstallerFlag::None => Self::None,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Reads what was typed; ends the process where it cannot be meant, or was a question.
pub(crate) fn parse() -> Flags {
    Flags::try_parse().unwrap_or_else(|error| pointing_on(error).exit())
}

/// An error about a word that is not known here, with the way to what was meant.
fn pointing_on(error: clap::Error) -> clap::Error {
    match error.kind() {
        ErrorKind::InvalidSubcommand => to_another_command(error),
        ErrorKind::UnknownArgument => to_another_flag(error),
        _ => error,
    }
}

/// The way from a flag that is not known here.
fn to_another_flag(mut error: clap::Error) -> clap::Error {
    let mut tips = match error.remove(ContextKind::Suggested) {
        Some(ContextValue::StyledStrs(tips)) => tips,
        _ => Vec::new(),
    };
    // No value begins like a flag: no object is called so.
    tips.retain(|tip| !tip.to_string().contains("as a value"));
    if matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(typed)) if typed == "--labels")
    {
        tips.push("`kurator get KIND -l KEY=VALUE` (--selector) shows those with a label".into());
    }
    if !tips.is_empty() {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

/// The way from a word that another command has, such as `kurator backup delete`.
fn to_another_command(mut error: clap::Error) -> clap::Error {
    let typed = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(typed)) => typed.as_str(),
        _ => return error,
    };
    let way = match typed {
        "get" | "list" => "`kurator get KIND` shows what there is",
        "describe" | "status" => "`kurator describe KIND NAME` shows one object in full",
        "logs" | "log" => "the messages of `kurator describe KIND NAME` say where the log lies",
        "delete" | "remove" => {
            "`kubectl delete KIND NAME` deletes it; what is stored stays, unless its deletionPolicy is Delete"
        }
        "pause" | "unpause" | "resume" => "set `spec.paused` of the Backup with `kubectl patch`",
        "run-now" | "run" => "annotate the Backup with `kubectl annotate`: kurator.dev/run-now=ANY-NEW-VALUE",
        _ => return error,
    };
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![way.into()]));
    error
}

pub(crate) fn run(flags: Flags) -> Result<(), Failure> {
    let hub = flags.hub;
    let is_verb = matches!(
        flags.command,
        Command::Get(_)
            | Command::Describe(_)
            | Command::Backup(_)
            | Command::Restore(_)
            | Command::Migrate(_)
    );
    if let Some(flag) = hub.given().filter(|_| !is_verb) {
        let why =
            "is of get, describe, backup, restore and migrate; write it behind the command if that has it";
        return Err(Failure::usage(format!("{flag} before the command {why}")));
    }
    match flags.command {
        Command::Quickstart(flags) => quickstart::quickstart(flags),
        Command::Serve(flags) => serve::serve(flags),
        Command::Engine(flags) => engine::engine(flags),
        Command::Get(flags) => process::block_on(get::get(flags, hub)),
        Command::Describe(flags) => process::block_on(describe::describe(flags, hub)),
        Command::Backup(command) => process::block_on(create::backup(command, hub)),
        Command::Restore(command) => process::block_on(create::restore(command, hub)),
        Command::Migrate(command) => process::block_on(create::migrate(command, hub)),
        Command::Rbac { place } => rbac::print(place),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Flags::command(), "kurator", &mut script);
            Ok(output::print(&String::from_utf8_lossy(&script))?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Flags::command().debug_assert();
    }

    fn refused(words: &str) -> String {
        let error = Flags::try_parse_from(words.split(' ')).map(drop).unwrap_err();
        pointing_on(error).to_string()
    }

    #[test]
    fn a_word_that_another_command_has_points_there() {
        let said = refused("kurator backup delete nightly");
        assert!(said.contains("unrecognized subcommand 'delete'"), "{said}");
        assert!(said.contains("tip: `kubectl delete KIND NAME` deletes it"), "{said}");
        let said = refused("kurator restore logs x");
        assert!(said.contains("tip: the messages of `kurator describe KIND NAME`"), "{said}");
        assert!(refused("kurator backup creat x").contains("'create'"));
    }

    #[test]
    fn a_flag_that_is_not_known_is_taken_for_no_value() {
        let said = refused("kurator get backups --labels a=b");
        let expected =
            "\n\n  tip: `kurator get KIND -l KEY=VALUE` (--selector) shows those with a label\n\nUsage:";
        assert!(said.contains(expected), "{said}");
        let said = refused("kurator get backups --nope");
        assert!(said.starts_with("error: unexpected argument '--nope' found\n\nUsage:"), "{said}");
        let said = refused("kurator get backups --selectr a");
        assert!(said.contains("'--selector'"), "{said}");
    }

    #[test]
    fn the_hub_may_be_named_before_the_verb_and_behind_it() {
        for words in [
            "kurator -n shop get",
            "kurator get -n shop",
            "kurator --context hub -n shop backup create b --fleet f",
        ] {
            assert!(Flags::try_parse_from(words.split(' ')).is_ok(), "{words}");
        }
        let Ok(flags) = Flags::try_parse_from(["kurator", "-n", "shop", "quickstart"]) else { panic!() };
        assert!(run(flags).is_err());
    }
}
