//! HTTP requests, by hand over TCP: enough for health, metrics, long polls and event streams, with nothing
//! between the test and the bytes.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::wait::PATIENCE;

/// A response, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// E.g. 200.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Response {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("not JSON ({why}): {:?}", self.body))
    }
}

/// GET of `http://host:port/path`; panics when there is no answer within [`PATIENCE`].
pub async fn get(url: &str) -> Response {
    request("GET", url, &[], "").await
}

/// Any request; panics when there is no answer within [`PATIENCE`].
pub async fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Response {
    match timeout(PATIENCE, try_request(method, url, headers, body)).await {
        Ok(Ok(response)) => response,
        Ok(Err(why)) => panic!("{method} {url} failed: {why}"),
        Err(_) => panic!("{method} {url} was not answered within {PATIENCE:?}"),
    }
}

/// Any request, with its failure.
pub async fn try_request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Response> {
    let mut stream = Stream::open(method, url, headers, body).await?;
    let body = stream.rest().await?;
    Ok(Response { status: stream.status, headers: stream.headers, body })
}

/// A response whose body is read as it comes, e.g. an event stream.
#[derive(Debug)]
pub struct Stream {
    /// E.g. 200.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    connection: BufReader<TcpStream>,
    chunked: bool,
    length: Option<usize>,
    /// Of the body, and not yet given out.
    pending: Vec<u8>,
}

impl Stream {
    /// Sends a request and reads the head of its response.
    pub async fn open(
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::io::Result<Self> {
        let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url} must start with http://"));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut connection = TcpStream::connect(host).await?;
        let mut head = format!("{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        head.push_str(body);
        connection.write_all(head.as_bytes()).await?;
        Self::read_head(BufReader::new(connection)).await
    }

    async fn read_head(mut connection: BufReader<TcpStream>) -> std::io::Result<Self> {
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other(format!("not an HTTP answer: {line:?}")))?;
        let mut headers = Vec::new();
        loop {
            line.clear();
            connection.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let chunked = header("transfer-encoding").is_some_and(|value| value.contains("chunked"));
        let length = header("content-length").and_then(|value| value.parse().ok());
        Ok(Self { status, headers, connection, chunked, length, pending: Vec::new() })
    }

    /// The next line of the body, without its end; `None` when the body has ended or after `within`.
    pub async fn line(&mut self, within: Duration) -> Option<String> {
        timeout(within, self.next_line()).await.ok().flatten()
    }

    async fn next_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            let more = self.piece().await.ok()?;
            if more.is_empty() {
                return None;
            }
            self.pending.extend(more);
        }
    }

    async fn rest(&mut self) -> std::io::Result<String> {
        loop {
            let more = self.piece().await?;
            if more.is_empty() {
                return Ok(String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned());
            }
            self.pending.extend(more);
        }
    }

    /// Some bytes of the body; none at its end.
    async fn piece(&mut self) -> std::io::Result<Vec<u8>> {
        if self.chunked {
            let mut size = String::new();
            self.connection.read_line(&mut size).await?;
            let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
            let mut chunk = vec![0; size];
            self.connection.read_exact(&mut chunk).await?;
            let mut line_end = String::new();
            self.connection.read_line(&mut line_end).await?;
            return Ok(chunk);
        }
        let mut piece = vec![0; self.length.unwrap_or(8192).min(8192)];
        let read = self.connection.read(&mut piece).await?;
        piece.truncate(read);
        if let Some(length) = &mut self.length {
            *length = length.saturating_sub(read);
        }
        Ok(piece)
    }
}
