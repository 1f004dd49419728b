//! The end of a child, as the kernel tells it.

use std::{
    io,
    process::{Child, ExitStatus},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};

/// Waits for the end of a child; `None` if it still runs after the bound.
pub(crate) fn ended(child: &mut Child, bound: Duration) -> io::Result<Option<ExitStatus>> {
    // One that was waited for before has given its id away.
    if let Some(status) = child.try_wait()? {
        return Ok(Some(status));
    }
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let deadline = Instant::now() + bound;
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now()))
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Ok(None),
            Ok(_) => return child.wait().map(Some),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_that_ends_is_waited_for_and_one_that_does_not_is_told_apart() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert_eq!(ended(&mut child, Duration::ZERO).unwrap(), None);
        drop(child.stdin.take());
        let status = ended(&mut child, Duration::from_secs(60)).unwrap();
        assert!(status.is_some_and(|status| status.success()));
        assert_eq!(ended(&mut child, Duration::ZERO).unwrap(), status);
    }
}
