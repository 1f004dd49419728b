//! Whether the hub answers, for those who follow it for long: a watch tries again by itself and says nothing of it.

use std::sync::Arc;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use kurator_member::causes::chain;
use tokio::sync::watch;

use super::hub::Hub;
use crate::failure::Failure;

/// Why the hub does not answer, as long as it does not.
pub(crate) struct Outage {
    /// Sent with every request that is not answered, and with the first one that is again.
    seen: watch::Receiver<Option<String>>,
    told: Option<String>,
}

impl Outage {
    /// What people are told when it begins and when it is over; waits until there is something. Never comes when nobody
    /// asks the hub any more.
    ///
    /// # Errors
    /// The hub was a quickstart, which has ended: it is asked in vain.
    pub(crate) async fn news(&mut self, hub: &Hub) -> Result<String, Failure> {
        loop {
            if self.seen.changed().await.is_err() {
                return std::future::pending().await;
            }
            let why = self.seen.borrow_and_update().clone();
            if let Some(why) = &why
                && let Some(hint) = hub.ended()
            {
                let told = anyhow::anyhow!("the hub at {} does not answer: {why}", hub.server());
                return Err(Failure::with_hint(told, hint));
            }
            if why == self.told {
                continue;
            }
            self.told.clone_from(&why);
            return Ok(match why {
                Some(why) => {
                    format!("the hub at {} does not answer, it is asked again and again: {why}", hub.server())
                }
                None => "the hub answers again".to_owned(),
            });
        }
    }

    /// Why the hub does not answer now, if it does not.
    pub(crate) fn why(&self) -> Option<String> {
        self.seen.borrow().clone()
    }
}

/// A client whose requests say whether they are answered.
pub(crate) fn observed(client: &Client) -> (Client, Outage) {
    let (said, outage) = watch::channel(None);
    let said = Arc::new(said);
    let (client, namespace) = (client.clone(), client.default_namespace().to_owned());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, said) = (client.clone(), Arc::clone(&said));
        async move {
            let answer = client.send(request).await;
            let why = silence(&answer);
            said.send_if_modified(|said| {
                let is_news = why.is_some() || said.is_some();
                *said = why;
                is_news
            });
            answer
        }
    });
    (Client::new(service, namespace), Outage { seen: outage, told: None })
}

/// Why this is no answer of a hub that is well.
fn silence(answer: &kube::Result<Response<Body>>) -> Option<String> {
    match answer {
        Err(error) => Some(chain(error)),
        Ok(answer) if answer.status().is_server_error() => Some(answer.status().to_string()),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A hub that answers so, one request after the other.
    fn hub(answers: &[Result<u16, &str>]) -> (Client, Outage, Hub) {
        let mut answers: Vec<_> = answers.iter().map(|answer| answer.map_err(str::to_owned)).collect();
        answers.reverse();
        let answers = Mutex::new(answers);
        let service = tower::service_fn(move |_: Request<Body>| {
            let answer = answers.lock().unwrap().pop().unwrap();
            std::future::ready(match answer {
                Ok(status) => Ok(Response::builder().status(status).body(Body::empty()).unwrap()),
                Err(why) => Err(std::io::Error::other(why)),
            })
        });
        let client = Client::new(service, "default");
        let (observed, outage) = observed(&client);
        (observed, outage, Hub::new(client, "default", "https://hub/"))
    }

    async fn ask(client: &Client, times: usize) {
        for _ in 0..times {
            let _answer = client.send(Request::new(Body::empty())).await;
        }
    }

    #[tokio::test]
    async fn an_outage_is_told_once_for_each_reason_and_its_end_once() {
        let (client, mut outage, hub) =
            hub(&[Ok(200), Err("refused"), Err("refused"), Ok(503), Ok(404), Ok(200)]);
        ask(&client, 3).await;
        let told =
            async |outage: &mut Outage| outage.news(&hub).await.map_err(|failure| failure.text()).unwrap();
        let said = told(&mut outage).await;
        assert!(
            said.starts_with("the hub at https://hub/ does not answer") && said.ends_with("refused"),
            "{said}"
        );
        ask(&client, 1).await;
        assert!(told(&mut outage).await.ends_with("503 Service Unavailable"));
        ask(&client, 2).await;
        assert_eq!(told(&mut outage).await, "the hub answers again");
        assert!(!outage.seen.has_changed().unwrap());
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer() {
        let (client, outage, _) = hub(&[Ok(401), Ok(403), Ok(410), Ok(429)]);
        ask(&client, 4).await;
        assert!(!outage.seen.has_changed().unwrap());
    }

    #[tokio::test]
    async fn an_error_of_the_server_is_told_by_its_code() {
        let (client, outage, _) = hub(&[Ok(503)]);
        ask(&client, 1).await;
        assert_eq!(outage.why().as_deref(), Some("503 Service Unavailable"));
    }
}
