//! What is asked before a message is shown: the list of words, and somebody else over gRPC.
//!
//! Invariant: a message waits for an answer a bounded time; without one the settings say what becomes of it.

use std::{sync::Arc, time::Duration};

use platepal_proto::v1::{self, message_check_service_client::MessageCheckServiceClient};
use platepal_service::RoleError;
use tokio::sync::Semaphore;
use tonic::transport::{Channel, Endpoint};

use crate::{
    rules::{
        message::{Attachment, Draft, Limits, check_content},
        words::{Verdict, Words},
    },
    settings::Settings,
};

/// Judges messages. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Check {
    words: Arc<Words>,
    limits: Limits,
    other: Option<Other>,
}

/// Somebody else who judges.
#[derive(Clone)]
struct Other {
    client: MessageCheckServiceClient<Channel>,
    timeout: Duration,
    questions: Arc<Semaphore>,
    holds_unanswered: bool,
}

impl Check {
    pub(crate) fn new(settings: &Settings) -> Result<Self, RoleError> {
        let words = Arc::new(settings.read_words().map_err(RoleError::Other)?);
        let other = settings.check_url.as_ref().map(|url| {
            let endpoint = Endpoint::from_shared(url.to_string())
                .map_err(|why| RoleError::Other(format!("REALTIME_CHAT_CHECK_URL: {why}")))?;
            let endpoint = endpoint.connect_timeout(settings.check_timeout).tcp_nodelay(true);
            Ok::<_, RoleError>(Other {
                client: MessageCheckServiceClient::new(endpoint.connect_lazy()),
                timeout: settings.check_timeout,
                questions: Arc::new(Semaphore::new(settings.check_questions)),
                holds_unanswered: settings.check_failure == "hold",
            })
        });
        Ok(Self { words, limits: settings.limits(), other: other.transpose()? })
    }

    /// Whether anybody outside is asked.
    pub(crate) fn asks_others(&self) -> bool {
        self.other.is_some()
    }

    /// What becomes of a user's message.
    pub(crate) async fn judge(&self, room_id: &str, sender_id: &str, draft: &Draft) -> Verdict {
        let listed = self.words.judge(&draft.content);
        let Some(other) = &self.other else { return listed };
        match listed {
            Verdict::Hold(_) => listed,
            Verdict::Show => self.ask(other, room_id, sender_id, draft, listed).await,
            Verdict::Mask(ref content) => {
                let masked = Draft { content: content.clone(), ..draft.clone() };
                self.ask(other, room_id, sender_id, &masked, listed).await
            }
        }
    }

    async fn ask(
        &self,
        other: &Other,
        room_id: &str,
        sender_id: &str,
        draft: &Draft,
        listed: Verdict,
    ) -> Verdict {
        let question = v1::CheckRequest {
            room_id: room_id.to_owned(),
            sender_id: sender_id.to_owned(),
            r#type: draft.kind.to_message().into(),
            content: draft.content.clone(),
            attachment: draft.attachment.as_ref().map(attachment),
        };
        let ask = async {
            // The semaphore is never closed.
            let _permit = other.questions.acquire().await.map_err(|why| why.to_string())?;
            let answer = other.client.clone().check(question).await;
            answer.map(tonic::Response::into_inner).map_err(|status| status.to_string())
        };
        let answer = tokio::time::timeout(other.timeout, ask).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {:?}", other.timeout)));
        let (word, verdict) = match answer.and_then(|answer| self.read(answer, listed.clone())) {
            Ok(Verdict::Hold(reason)) => ("hold", Verdict::Hold(reason)),
            Ok(Verdict::Mask(content)) => ("mask", Verdict::Mask(content)),
            Ok(Verdict::Show) => ("show", Verdict::Show),
            Err(why) => {
                tracing::warn!(
                    room = room_id,
                    why,
                    "nobody judged a message; see REALTIME_CHAT_CHECK_FAILURE"
                );
                let held = || Verdict::Hold("nobody could judge it".into());
                ("failed", if other.holds_unanswered { held() } else { listed })
            }
        };
        metrics::counter!("realtime_chat_checks_total", "result" => word).increment(1);
        verdict
    }

    fn read(&self, answer: v1::CheckResponse, listed: Verdict) -> Result<Verdict, String> {
        match answer.decision() {
            v1::CheckDecision::Unspecified => Err("the answer has no decision".into()),
            v1::CheckDecision::Show => Ok(listed),
            v1::CheckDecision::Hold => {
                let reason: String =
                    answer.reason.chars().filter(|letter| *letter != '\0').take(200).collect();
                Ok(Verdict::Hold(if reason.is_empty() { "held by the check".into() } else { reason }))
            }
            v1::CheckDecision::Mask => {
                check_content(&answer.content, &self.limits).map_err(|why| why.to_string())?;
                Ok(Verdict::Mask(answer.content))
            }
        }
    }
}

fn attachment(attachment: &Attachment) -> v1::Attachment {
    v1::Attachment {
        url: attachment.url.clone(),
        content_type: attachment.content_type.clone(),
        bytes: attachment.bytes,
    }
}
