//! What the tests against the simulator stand on.

use std::time::Duration;

use partita_postgres::testing::TestDatabase;
use partita_provider::{Account, Command, Outcome, Payment, Provider as _, ProviderObject, Submission};
use partita_simulator::{ClockMode, Control, RefundWhenShort, Settings, Simulator, SimulatorOptions};
use partita_stripe::{Stripe, StripeOptions};
use url::Url;

use crate::commands::{create_account, create_payment};

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// A simulator with a database of its own and an adapter towards it.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) control: Control,
    pub(crate) stripe: Stripe,
    // Dropped with the test, and the database with it.
    _database: TestDatabase,
}

impl World {
    pub(crate) async fn start() -> Self {
        // The simulator migrates its database itself: the template is an empty one.
        let empty = |_owner: String| async { Ok::<(), std::io::Error>(()) };
        let database = TestDatabase::create_for_simulator(empty, "empty").await.expect("a database");
        let options = SimulatorOptions {
            clock: ClockMode::Manual(1_790_000_000),
            background_webhooks: false,
            ..SimulatorOptions::new(database.app_url.clone())
        };
        let simulator = Simulator::start(options).await.expect("a simulator");
        let control = simulator.control();
        control.set_fees("eur", 250, 20).await.expect("set");
        let settings = Settings { refund_when_short: RefundWhenShort::NegativeBalance, ..control.settings() };
        control.set_settings(settings).await.expect("set");
        let mut options = StripeOptions::new(simulator.secret_key().to_owned().into());
        options.base_url = Url::parse(&simulator.base_url()).expect("an address");
        let stripe = Stripe::try_new(&options).expect("a client");
        Self { simulator, control, stripe, _database: database }
    }

    /// Another adapter towards the simulator, that waits `timeout` for an answer.
    pub(crate) fn adapter(&self, timeout: Duration) -> Stripe {
        let mut options = StripeOptions::new(self.simulator.secret_key().to_owned().into());
        options.base_url = Url::parse(&self.simulator.base_url()).expect("an address");
        options.timeout = timeout;
        Stripe::try_new(&options).expect("a client")
    }

    /// Submits a command under its own key.
    pub(crate) async fn submit(&self, command: &Command, key: &str) -> Submission {
        let request = self.stripe.prepare(command).expect("a lawful command");
        self.stripe.submit(&request, key).await
    }

    /// Submits a command that must succeed; checks that the stored answer reads as it did when it came.
    pub(crate) async fn done(&self, command: &Command, key: &str) -> ProviderObject {
        let submission = self.submit(command, key).await;
        let Outcome::Done(object) = submission.outcome else { panic!("{command:?}: {:?}", submission.outcome) };
        let raw = submission.raw.expect("an answer came");
        assert!(raw.status == 200 && raw.request_id.is_some_and(|id| id.starts_with("req_")));
        let request = self.stripe.prepare(command).expect("a lawful command");
        assert_eq!(self.stripe.read_answer(&request, &raw.body).as_ref(), Ok(object.as_ref()));
        *object
    }

    pub(crate) async fn account(&self) -> Account {
        let command = create_account();
        match self.done(&command, "op_account.1").await {
            ProviderObject::Account(account) => account,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn payment(&self, cents: i64, method: &str, key: &str) -> Payment {
        match self.done(&create_payment(cents, method), key).await {
            ProviderObject::Payment(payment) => payment,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn end(self) {
        let breaks = self.control.check_books().await.expect("its books");
        assert!(breaks.is_empty(), "{breaks:?}");
        self.simulator.shutdown().await;
    }
}
