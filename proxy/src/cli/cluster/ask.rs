//! The same question to many pods of ours at once.
use super::Cluster;
use crate::cli::door::there;
use culvert_runtime::drain::Drain;
use culvert_telemetry::chain::Chain;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::{Semaphore, mpsc};

/// Ways that are open at a time: each is work for the API server.
const AT_ONCE: usize = 16;

/// What each pod answers, by its name; else why it does not.
pub(crate) type Answers = BTreeMap<String, Result<Value, String>>;

/// Asks all of them, and waits for all.
pub(crate) fn all(cluster: &Cluster, pods: &[&str], path: &'static str) -> Answers {
    cluster.does(async {
        let (drain, slots) = (Drain::default(), Arc::new(Semaphore::new(AT_ONCE)));
        let (tell, mut told) = mpsc::channel(AT_ONCE);
        for pod in pods {
            let (client, slots, tell) =
                (cluster.client().clone(), Arc::clone(&slots), tell.clone());
            let pod = (*pod).to_owned();
            drain.worker().spawn(async move {
                let _slot = slots.acquire_owned().await;
                let answer = there::get(&client, &pod, path).await;
                let answer = answer.map_err(|silence| Chain(&silence).to_string());
                let answer = answer.and_then(|body| {
                    serde_json::from_slice(&body)
                        .map_err(|error| format!("not understood: {error}"))
                });
                // Nobody but us hears it.
                drop(tell.send((pod, answer)).await);
            });
        }
        drop(tell);
        let mut answers = Answers::new();
        while let Some((pod, answer)) = told.recv().await {
            answers.insert(pod, answer);
        }
        answers
    })
}
