//! partita-webhooks
