//! What those in a handshake are called, and what stands in the places of snippets: by the program that a proxy runs, and its
//! address.

use std::net::IpAddr;

use super::Story;
use crate::decode::Endpoint;
use crate::diagnosis::draft::Values;
use crate::diagnosis::kept;
use crate::diagnosis::program::Program;
use crate::diagnosis::text::{path, short};
use crate::hop::{ConnectAttempt, Hop, Role};
use crate::http::RequestHead;

impl<'a> Story<'a> {
    /// The proxy that made `child`: `nginx 192.0.2.1` or `the proxy 192.0.2.1`; one of two, where they spoke unread.
    pub(in crate::diagnosis) fn proxy_of(&self, child: &Hop) -> String {
        let unread = self.parent(child).and_then(|parent| {
            let inner = self.unread_behind(parent, child.record.connection.client)?;
            Some(one_of(parent.record.connection.server.ip(), inner))
        });
        unread.unwrap_or_else(|| self.proxy_before(child))
    }

    /// The proxy in front of `child`.
    fn proxy_before(&self, child: &Hop) -> String {
        let sealed = self
            .sealed_front()
            .filter(|_| std::ptr::eq(child, self.outer));
        let asked = match (self.parent(child), sealed) {
            (Some(parent), _) => parent.record.connection.server,
            (None, Some(front)) => front.record.connection.server,
            // Who asks is all that is seen of it.
            (None, None) => child.record.connection.client,
        };
        format!("{} {}", self.program_of(child).name(), asked.ip())
    }

    /// The address of a proxy that was asked on a connection that nobody can read, and asked in its turn from there.
    fn unread_behind(&self, parent: &Hop, from: Endpoint) -> Option<IpAddr> {
        let front = parent.record.connection.server.ip();
        let mut unread = self.handshake.unread.iter();
        let there = unread.any(|server| server.ip() == from.ip());
        (there && front != from.ip()).then(|| from.ip())
    }

    /// The program of the proxy that made `child`.
    pub(in crate::diagnosis) fn program_of(&self, child: &Hop) -> Program {
        Program::of(self.parent(child), Some(child))
    }

    /// The program of the proxy that is asked on this hop.
    pub(in crate::diagnosis) fn program_at(&self, hop: &Hop) -> Program {
        let behind = self.links().find(|link| std::ptr::eq(link.parent, hop));
        if let Some(link) = behind {
            return self.program_of(link.child);
        }
        if self.attempts_behind(hop).next().is_some() {
            return Program::that_reached_nobody(hop);
        }
        Program::of(Some(hop), None)
    }

    /// The program of the proxy that asks, or would have to ask, the backend. Of a lone hop that shows no proxy, texts stay
    /// what they are: they say for themselves what is nginx's.
    fn last_program(&self) -> Program {
        if !self.is_alone() || self.backend_only() {
            return self.program_of(self.inner);
        }
        match Program::of(Some(self.outer), None) {
            Program::Unknown if self.outer.role != Role::ClientProxy => Program::Nginx,
            program => program,
        }
    }

    /// Which program asked each server.
    fn programs(&self) -> Vec<(Endpoint, Program)> {
        let links = self.links().map(|link| {
            let server = link.child.record.connection.server;
            (server, self.program_of(link.child))
        });
        let tried = self.attempts().filter_map(|attempt| {
            let parent = self.tried_for(attempt)?;
            Some((attempt.record.connection.server, self.program_at(parent)))
        });
        links.chain(tried).collect()
    }

    /// The proxy that made an attempt.
    pub(in crate::diagnosis) fn proxy_of_attempt(&self, attempt: &ConnectAttempt) -> String {
        if self.backend_only() {
            return self.proxy_of(self.outer);
        }
        let parent = self.tried_for(attempt).unwrap_or(self.outer);
        let dialled = attempt.record.connection.client;
        if let Some(inner) = self.unread_behind(parent, dialled) {
            return format!("the proxy {inner}");
        }
        format!(
            "{} {}",
            self.program_at(parent).name(),
            parent.record.connection.server.ip()
        )
    }

    /// The server of the outermost hop: `nginx 192.0.2.1`, `the proxy 192.0.2.1` or `192.0.2.1:80`.
    pub(in crate::diagnosis) fn front(&self) -> String {
        if let Some(child) = self.handshake.hops.get(1) {
            return self.proxy_before(child);
        }
        if self.sealed_front().is_some() {
            return self.proxy_of(self.outer);
        }
        let server = self.outer.record.connection.server;
        if self.leads_to_backend() {
            return server.to_string();
        }
        match self.program_at(self.outer) {
            Program::Unknown if self.outer.role != Role::ClientProxy => server.to_string(),
            program => format!("{} {}", program.name(), server.ip()),
        }
    }

    /// The path of the client's request for a sentence.
    pub(in crate::diagnosis) fn path(&self) -> String {
        self.outer
            .exchange()
            .request
            .as_ref()
            .or(self.inner.exchange().request.as_ref())
            .map(RequestHead::target)
            .or(self
                .outer
                .exchange()
                .ordinary
                .as_ref()
                .map(|ask| &*ask.target))
            .map(|target| short(path(target)))
            .or_else(|| [self.outer, self.inner].into_iter().find_map(begun_path))
            .unwrap_or_else(|| "?".to_owned())
    }

    /// What to fill into snippets. Only harmless characters get in: a snippet is made to be copied.
    pub(in crate::diagnosis) fn values(&self) -> Values<'a> {
        let request = |hop: &'a Hop| hop.exchange().request.as_ref();
        let location = request(self.outer)
            .or_else(|| request(self.inner))
            .map(|head| path(head.target()))
            .filter(|path| harmless(path))
            .unwrap_or("/");
        let backend = self
            .handshake
            .hops
            .iter()
            .rev()
            .find(|hop| hop.parent.is_some() || self.backend_only())
            .map(|hop| hop.record.connection.server)
            .or_else(|| self.attempts().next().map(|a| a.record.connection.server));
        Values {
            location,
            upstream: backend,
            over_tls: self.over_tls(),
            kept: kept::by_proxies(self),
            programs: self.programs(),
            program: self.last_program(),
        }
    }

    /// The servers that were asked inside TLS.
    fn over_tls(&self) -> Vec<Endpoint> {
        let hops = self.handshake.hops.iter();
        hops.filter(|hop| hop.record.tls.is_some() && hop.exchange().request.is_some())
            .map(|hop| hop.record.connection.server)
            .collect()
    }
}

/// Two proxies, of which the capture does not show what the one said to the other.
fn one_of(outer: IpAddr, inner: IpAddr) -> String {
    format!("one of the proxies {outer} and {inner}")
}

/// Whether a path may stand in configuration that is made to be copied.
pub(in crate::diagnosis) fn harmless(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= 64
        && path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/_-.".contains(&byte))
}

/// The path of a request that breaks off behind its first line.
fn begun_path(hop: &Hop) -> Option<String> {
    let request = hop.exchange().partial_request.as_ref()?.request();
    let target = request.target();
    target.starts_with('/').then(|| short(path(target)))
}
