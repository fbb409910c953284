//! Finds the deployment by the name of its stack, so that no address has to be pasted.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::anyhow;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksError;

use super::explain::{Reach, causes};
use crate::exit::Failure;
use crate::globals::Globals;

/// A call other than an execution answers within this, tries included.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Outputs that the stack must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outputs {
    pub(crate) queue_url: String,
    pub(crate) dlq_url: String,
    pub(crate) table: String,
    pub(crate) state_machine_arn: String,
    pub(crate) bucket: String,
    /// Table of the sources' quotas and shared answers.
    pub(crate) source_table: String,
    /// Names of the models that predictors are deployed for.
    pub(crate) models: Vec<String>,
}

impl Outputs {
    fn from_map(stack: &str, mut map: HashMap<String, String>) -> anyhow::Result<Self> {
        let mut missing = Vec::new();
        let mut take = |name: &'static str| {
            map.remove(name).unwrap_or_else(|| {
                missing.push(name);
                String::new()
            })
        };
        let outputs = Self {
            queue_url: take("QueueUrl"),
            dlq_url: take("DlqUrl"),
            table: take("TableName"),
            state_machine_arn: take("StateMachineArn"),
            bucket: take("BucketName"),
            source_table: take("SourceTableName"),
            models: take("Models")
                .split(',')
                .map(str::trim)
                .filter(|m| !m.is_empty())
                .map(Into::into)
                .collect(),
        };
        if missing.is_empty() {
            return Ok(outputs);
        }
        let message = format!("stack {stack} has no output {}", missing.join(", "));
        Err(Failure::unreached(message)
            .hint("not a Tribunal, an older one, or still being created: wait, or name another with --stack")
            .into())
    }
}

/// A deployment, reached.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    pub(crate) reach: Reach,
    pub(crate) outputs: Outputs,
    config: SdkConfig,
}

impl Stack {
    /// Finds the stack that the flags and the environment name.
    pub(crate) async fn connect(globals: &Globals) -> anyhow::Result<Self> {
        let config = configure(globals).await;
        let reach = Reach {
            stack: globals.stack.clone(),
            region: region(&config)?,
            endpoint: config.endpoint_url().map(Into::into),
        };
        check_credentials(&config, &reach).await?;
        let found = aws_sdk_cloudformation::Client::new(&config)
            .describe_stacks()
            .stack_name(&globals.stack)
            .send()
            .await
            .map_err(|error| not_found(&reach, error))?;
        let stack = found.stacks().first().ok_or_else(|| no_such_stack(&reach))?;
        let map = stack
            .outputs()
            .iter()
            .filter_map(|o| Some((o.output_key()?.to_owned(), o.output_value()?.to_owned())))
            .collect();
        let outputs = Outputs::from_map(&globals.stack, map)?;
        Ok(Self { reach, outputs, config })
    }

    /// Client of the queues.
    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config)
    }

    /// Client of the table.
    pub(crate) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config)
    }

    /// Client of the state machine. An execution may take minutes, so the client's own time limit is off.
    pub(crate) fn step_functions(&self) -> aws_sdk_sfn::Client {
        let patient = TimeoutConfig::builder().connect_timeout(Duration::from_secs(5)).build();
        aws_sdk_sfn::Client::new(&self.config.clone().into_builder().timeout_config(patient).build())
    }

    /// Address of the registry of models and data sets.
    pub(crate) fn registry_url(&self) -> String {
        format!("s3://{}", self.outputs.bucket)
    }

    /// The configuration, for clients that are not of the SDK.
    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }
}

async fn configure(globals: &Globals) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let retries =
        RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(150));
    let mut config = tribunal_runtime::sdk::config().await;
    if let Some(url) = &globals.endpoint_url {
        // Loaded anew: only an endpoint that is given to the loader wins over those of the environment.
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).endpoint_url(url);
        if let Some(http) = config.http_client() {
            loader = loader.http_client(http);
        }
        config = loader.load().await;
    }
    config.into_builder().timeout_config(timeouts).retry_config(retries).build()
}

fn region(config: &SdkConfig) -> anyhow::Result<String> {
    let region = config.region().map(ToString::to_string).filter(|region| !region.is_empty());
    region.ok_or_else(|| {
        Failure::unreached("no AWS region is set")
            .hint("set AWS_REGION to the region of the stack; a local AWS takes any: AWS_REGION=us-east-1")
            .into()
    })
}

async fn check_credentials(config: &SdkConfig, reach: &Reach) -> anyhow::Result<()> {
    let provider = config.credentials_provider().ok_or_else(|| anyhow!("no credentials provider"))?;
    let Err(error) = provider.provide_credentials().await else { return Ok(()) };
    let hint = if reach.endpoint.is_some() {
        "a local AWS takes any key pair: AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test"
    } else {
        "sign in, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a local AWS give \
         --endpoint-url too"
    };
    let message = match &error {
        CredentialsError::CredentialsNotLoaded(_) => {
            "no AWS credentials in the environment, the profile, or a role of this machine".to_owned()
        }
        other => format!("cannot load the AWS credentials: {}", causes(other)),
    };
    Err(Failure::unreached(message).hint(hint).into())
}

fn no_such_stack(reach: &Reach) -> Failure {
    Failure::unreached(format!("no stack named {} in {}", reach.stack, reach.place())).hint(
        "not deployed? `make demo` deploys to a local AWS, docs/deploy.md tells how to deploy to a real one\n\
         another name: --stack or TRIBUNAL_STACK; another region: AWS_REGION; a local AWS: --endpoint-url",
    )
}

fn not_found(reach: &Reach, error: SdkError<DescribeStacksError>) -> anyhow::Error {
    // CloudFormation says `ValidationError: Stack with id X does not exist`.
    let absent = error.code() == Some("ValidationError")
        && error.message().is_some_and(|message| message.contains("does not exist"));
    if absent {
        return no_such_stack(reach).into();
    }
    reach.explain(&format!("cannot look up stack {}", reach.stack), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> HashMap<String, String> {
        ["QueueUrl", "DlqUrl", "TableName", "StateMachineArn", "BucketName", "SourceTableName"]
            .iter()
            .map(|name| ((*name).to_owned(), format!("{name}-value")))
            .chain([("Models".to_owned(), "xgboost, forest".to_owned())])
            .collect()
    }

    #[test]
    fn outputs_are_taken_by_name() {
        let outputs = Outputs::from_map("T", all()).unwrap();
        assert_eq!(outputs.bucket, "BucketName-value");
        assert_eq!(outputs.models, ["xgboost", "forest"]);
    }

    #[test]
    fn every_missing_output_is_named() {
        let mut map = all();
        map.remove("DlqUrl");
        map.remove("Models");
        let error = Outputs::from_map("T", map).unwrap_err();
        assert_eq!(error.to_string(), "stack T has no output DlqUrl, Models");
    }
}
