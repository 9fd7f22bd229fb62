//! Answers of any length, written as they come.

use std::{io::Write, time::Duration};

use anyhow::anyhow;
use tokio::time::timeout;

use super::{Client, ClientError, Doubt, Refusal, Service, refusal};

impl Client {
    /// A read whose good answer is written to `out` as it comes. No part of it may take longer
    /// than a request may, but for what the service may hold it back.
    ///
    /// # Errors
    /// When it is refused, does not come to its end, or cannot be written.
    pub async fn download(
        &self,
        service: Service,
        path: &[&str],
        query: &[(&str, String)],
        wait: Duration,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let url = self.url(service, path);
        let request = self.let_in(self.http.get(url.clone()).query(query))?;
        let no_answer =
            |source| ClientError::no_answer((service, &url), 1, Doubt::NothingDone, source);
        let silent = |waited: Duration| {
            let service = service.named_by();
            anyhow!("{url} sent nothing for {waited:?} ({service} says where it is)")
        };
        let waited = self.timeout + wait;
        let answer = timeout(waited, request.send()).await;
        let answer = answer.map_err(|_| silent(waited))?;
        let mut answer = answer.map_err(no_answer)?;
        let status = answer.status();
        if !status.is_success() {
            let headers = answer.headers().clone();
            let body = timeout(self.timeout, answer.bytes()).await;
            let body = body.map_err(|_| silent(self.timeout))?;
            let body = body.map_err(no_answer)?.to_vec();
            return Err(ClientError::Refused(Box::new(Refusal {
                asked: Some((service, url)),
                ..refusal(status, &headers, body)
            }))
            .into());
        }
        while let Some(part) = timeout(self.timeout, answer.chunk())
            .await
            .map_err(|_| silent(self.timeout))?
            .map_err(no_answer)?
        {
            out.write_all(&part)?;
        }
        Ok(())
    }
}
