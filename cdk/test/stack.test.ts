/** The stack: what is in it, what the programs and the command line are told, and that its times fit together. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Match } from 'aws-cdk-lib/assertions';
import { EXPRESS_SECONDS_MAX, tasks, worstCaseSeconds, type Machine } from 'tribunal-statemachine';

import { deployment, MODELS, template, zips } from './deployment';

const FUNCTIONS = ['dispatch', 'extract', ...MODELS.map((model) => `predict-${model}`), 'ensemble'];

interface Properties {
  readonly [name: string]: unknown;
}

/** Properties of every function, by its name. */
function functions(context: Readonly<Record<string, string>> = {}): Map<string, Properties> {
  const found = Object.values(template(context).findResources('AWS::Lambda::Function'));
  return new Map(found.map(({ Properties }) => [String(Properties.FunctionName), Properties as Properties]));
}

function environment(name: string): Record<string, unknown> {
  const { Variables } = (functions().get(`tribunal-${name}`)?.Environment ?? {}) as {
    Variables: Record<string, unknown>;
  };
  return Variables;
}

/** The definition in the template, with a made-up ARN where CloudFormation puts the real one. */
function definition(): Machine {
  const machines = Object.values(template().findResources('AWS::StepFunctions::StateMachine'));
  assert.equal(machines.length, 1);
  const parts = machines[0]?.Properties.DefinitionString['Fn::Join'][1] as (
    string | { 'Fn::GetAtt': string[] }
  )[];
  return JSON.parse(
    parts.map((part) => (typeof part === 'string' ? part : `arn:${part['Fn::GetAtt'][0]}`)).join(''),
  ) as Machine;
}

const bucket = { Ref: Match.stringLikeRegexp('^StoreBucket') };
const registry = { 'Fn::Join': ['', ['s3://', bucket]] };

function resembles(actual: unknown, expected: unknown): void {
  const result = Match.exact(expected).test(actual);
  assert.ok(!result.hasFailed(), result.toHumanStrings().join('\n'));
}

test('there are four programs, the predictor once per member of the ensemble', () => {
  assert.deepEqual([...functions().keys()].sort(), FUNCTIONS.map((name) => `tribunal-${name}`).sort());
});

for (const [architecture, expected] of [
  ['x86_64', 'x86_64'],
  ['arm64', 'arm64'],
  [undefined, 'x86_64'],
] as const) {
  test(`every function runs on ${expected} when the context says ${architecture}`, () => {
    for (const [name, properties] of functions(architecture === undefined ? {} : { architecture })) {
      assert.deepEqual([properties.Runtime, properties.Architectures], ['provided.al2023', [expected]], name);
    }
  });
}

test('the programs are told what they read, by the names of the contract', () => {
  resembles(environment('dispatch'), {
    TRIBUNAL_STATE_MACHINE_ARN: { Ref: Match.stringLikeRegexp('^ScoringMachine') },
    TRIBUNAL_DLQ_URL: { Ref: Match.stringLikeRegexp('^IntakeDlq') },
  });
  resembles(environment('extract'), {
    TRIBUNAL_REGISTRY: registry,
    TRIBUNAL_SOURCE_TABLE: { Ref: Match.stringLikeRegexp('^StoreSourceState') },
  });
  for (const model of MODELS) {
    resembles(environment(`predict-${model}`), { TRIBUNAL_REGISTRY: registry, TRIBUNAL_MODEL: model });
  }
  resembles(environment('ensemble'), {
    TRIBUNAL_REGISTRY: registry,
    TRIBUNAL_TABLE: { Ref: Match.stringLikeRegexp('^StoreScores') },
    TRIBUNAL_SCORE_TTL_DAYS: '90',
    TRIBUNAL_QUEUE_URL: { Ref: Match.stringLikeRegexp('^IntakeQueue') },
    TRIBUNAL_VERDICT_TABLE: { Ref: Match.stringLikeRegexp('^StoreVerdicts') },
    TRIBUNAL_EVENT_BUS: { Ref: Match.stringLikeRegexp('^Verdicts') },
  });
});

test('changes of verdicts go to a bus of the stack, or to the one that the context names', () => {
  template().hasResourceProperties('AWS::Events::EventBus', { Name: 'tribunal-verdicts' });
  const named = template({ eventBus: 'default' });
  named.resourceCountIs('AWS::Events::EventBus', 0);
  const ensemble = functions({ eventBus: 'default' }).get('tribunal-ensemble')?.Environment as {
    Variables: Record<string, unknown>;
  };
  assert.equal(ensemble.Variables.TRIBUNAL_EVENT_BUS, 'default');
  assert.equal(named.findOutputs('EventBusName').EventBusName?.Value, 'default');
});

test('the table of verdicts has one key and a lifetime, and outlives the stack as scores do', () => {
  template().hasResource('AWS::DynamoDB::Table', {
    DeletionPolicy: 'Retain',
    Properties: {
      TableName: Match.absent(),
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [{ AttributeName: 'entity', KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: 'entity', AttributeType: 'S' }],
      TimeToLiveSpecification: { AttributeName: 'expires_at', Enabled: true },
    },
  });
});

test('the command line finds the deployment by these outputs', () => {
  const outputs = template().findOutputs('*');
  assert.deepEqual(Object.keys(outputs).sort(), [
    'BucketName',
    'DlqUrl',
    'EventBusName',
    'Models',
    'QueueUrl',
    'SourceTableName',
    'StateMachineArn',
    'TableName',
    'VerdictTableName',
  ]);
  assert.equal(outputs.Models?.Value, MODELS.join(','));
  resembles(outputs.QueueUrl?.Value, { Ref: Match.stringLikeRegexp('^IntakeQueue') });
  resembles(outputs.DlqUrl?.Value, { Ref: Match.stringLikeRegexp('^IntakeDlq') });
  resembles(outputs.TableName?.Value, { Ref: Match.stringLikeRegexp('^StoreScores') });
  resembles(outputs.SourceTableName?.Value, { Ref: Match.stringLikeRegexp('^StoreSourceState') });
  resembles(outputs.BucketName?.Value, bucket);
  resembles(outputs.StateMachineArn?.Value, { Ref: Match.stringLikeRegexp('^ScoringMachine') });
});

test('the state machine is Express, logs failures without data, traces, and calls every function', () => {
  template().hasResourceProperties('AWS::StepFunctions::StateMachine', {
    StateMachineType: 'EXPRESS',
    TracingConfiguration: { Enabled: true },
    LoggingConfiguration: { Level: 'ERROR', IncludeExecutionData: false },
  });
  const { States } = definition();
  assert.deepEqual(
    States.Predict?.Branches?.map(({ StartAt }) => StartAt),
    MODELS.map((model) => `Predict with ${model}`),
  );
  const text = JSON.stringify(States);
  for (const id of [
    'StepsExtractFunction',
    'StepsEnsembleFunction',
    ...MODELS.map((model) => `StepsPredict${model}Function`),
  ]) {
    assert.equal(text.split(`"arn:${id}`).length - 1, 1, id);
  }
});

test('times fit into each other: function, task, state machine, dispatcher, visibility', () => {
  const machine = definition();
  const timeoutOf = (name: string): number => Number(functions().get(`tribunal-${name}`)?.Timeout);
  const shortest = Math.min(...tasks(machine).map(([, state]) => Number(state.TimeoutSeconds)));
  for (const name of FUNCTIONS.filter((step) => step !== 'dispatch')) {
    assert.ok(timeoutOf(name) > 0 && timeoutOf(name) < shortest, `${name} outlasts its task`);
  }
  const timeout = Number(machine.TimeoutSeconds);
  assert.ok(worstCaseSeconds(machine) < timeout);
  assert.ok(timeout < timeoutOf('dispatch') && timeoutOf('dispatch') < EXPRESS_SECONDS_MAX);
  template().hasResourceProperties('AWS::SQS::Queue', {
    QueueName: 'tribunal-entities',
    VisibilityTimeout: 6 * timeoutOf('dispatch'),
  });
});

test('the queue gives up after three deliveries, and dead letters wait 14 days', () => {
  const stack = template();
  stack.hasResourceProperties('AWS::SQS::Queue', {
    QueueName: 'tribunal-entities',
    MaximumMessageSize: 1_048_576,
    RedrivePolicy: {
      maxReceiveCount: 3,
      deadLetterTargetArn: { 'Fn::GetAtt': [Match.stringLikeRegexp('^IntakeDlq'), 'Arn'] },
    },
  });
  stack.hasResourceProperties('AWS::SQS::Queue', {
    QueueName: 'tribunal-entities-dlq',
    MessageRetentionPeriod: 1_209_600,
  });
});

test('the dispatcher judges messages one by one, and the mapping holds it back', () => {
  const mapping = {
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    BatchSize: 10,
    MaximumBatchingWindowInSeconds: 1,
  };
  template().hasResourceProperties('AWS::Lambda::EventSourceMapping', {
    ...mapping,
    ScalingConfig: { MaximumConcurrency: 10 },
  });
  const chosen = { batchSize: '100', batchWindowSeconds: '5', maxConcurrency: '50' };
  template(chosen).hasResourceProperties('AWS::Lambda::EventSourceMapping', {
    BatchSize: 100,
    MaximumBatchingWindowInSeconds: 5,
    ScalingConfig: { MaximumConcurrency: 50 },
  });
});

test('the table has the keys of the contract, its index, expiry and point-in-time recovery', () => {
  template().hasResourceProperties('AWS::DynamoDB::Table', {
    TableName: Match.absent(),
    BillingMode: 'PAY_PER_REQUEST',
    KeySchema: [
      { AttributeName: 'entity', KeyType: 'HASH' },
      { AttributeName: 'scored_key', KeyType: 'RANGE' },
    ],
    AttributeDefinitions: [
      { AttributeName: 'entity', AttributeType: 'S' },
      { AttributeName: 'scored_key', AttributeType: 'S' },
      { AttributeName: 'verdict_day', AttributeType: 'S' },
      { AttributeName: 'risk', AttributeType: 'N' },
    ],
    GlobalSecondaryIndexes: [
      {
        IndexName: 'by_verdict',
        KeySchema: [
          { AttributeName: 'verdict_day', KeyType: 'HASH' },
          { AttributeName: 'risk', KeyType: 'RANGE' },
        ],
        Projection: { ProjectionType: 'ALL' },
      },
    ],
    PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
    TimeToLiveSpecification: { AttributeName: 'expires_at', Enabled: true },
  });
});

test('the table of the sources is one key and a lifetime, and nothing of it is kept', () => {
  template().hasResource('AWS::DynamoDB::Table', {
    DeletionPolicy: 'Delete',
    Properties: {
      TableName: Match.absent(),
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [{ AttributeName: 'key', KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: 'key', AttributeType: 'S' }],
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: false },
      TimeToLiveSpecification: { AttributeName: 'expires_at', Enabled: true },
    },
  });
});

test('extract has the memory that the context says', () => {
  assert.equal(functions().get('tribunal-extract')?.MemorySize, 512);
  assert.equal(functions({ extractMemoryMb: '1024' }).get('tribunal-extract')?.MemorySize, 1_024);
});

test('scores and models outlive the stack, unless the context says otherwise', () => {
  for (const type of ['AWS::DynamoDB::Table', 'AWS::S3::Bucket']) {
    template().hasResource(type, { DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' });
    template({ retain: 'false' }).hasResource(type, { DeletionPolicy: 'Delete' });
  }
});

test('every log group forgets', () => {
  const groups = Object.values(template({ logRetentionDays: '7' }).findResources('AWS::Logs::LogGroup'));
  assert.equal(groups.length, FUNCTIONS.length + 1);
  assert.deepEqual(
    groups.map(({ Properties }) => Properties.RetentionInDays),
    groups.map(() => 7),
  );
});

test('an alarm watches each thing that can go wrong, on one plain metric', () => {
  const alarms = Object.values(template().findResources('AWS::CloudWatch::Alarm'));
  const names = alarms.map(({ Properties }) => String(Properties.AlarmName).replace('tribunal-', ''));
  const general = [
    'dlq-not-empty',
    'queue-age',
    'executions-failed',
    'executions-timed-out',
    'abstentions',
    'events-failed',
  ];
  const perFunction = FUNCTIONS.flatMap((name) => [`${name}-errors`, `${name}-throttles`]);
  assert.deepEqual(names.sort(), [...general, ...perFunction].sort());
  for (const { Properties } of alarms) {
    assert.ok(
      Properties.MetricName !== undefined && Properties.AlarmDescription.length > 20,
      String(Properties.AlarmName),
    );
    assert.equal(Properties.AlarmActions, undefined);
  }
});

test('alarms go to the topic that the context names', () => {
  const alarmTopicArn = 'arn:aws:sns:eu-central-1:123456789012:on-call';
  template({ alarmTopicArn }).allResourcesProperties('AWS::CloudWatch::Alarm', {
    AlarmActions: [alarmTopicArn],
    OKActions: [alarmTopicArn],
  });
});

test('the dashboard shows the metrics that the functions write', () => {
  const dashboards = Object.values(template().findResources('AWS::CloudWatch::Dashboard'));
  assert.equal(dashboards.length, 1);
  const text = JSON.stringify(dashboards[0]?.Properties.DashboardBody).replaceAll('\\"', '"');
  for (const name of [
    'EntitiesReceived',
    'EntitiesScored',
    'EntitiesRequeued',
    'EntitiesRefused',
    'Abstentions',
    'VerdictChanges',
    'EventFailures',
    'DurationMs',
  ]) {
    assert.ok(text.includes(`"Tribunal","${name}","Function"`), name);
  }
  for (const model of MODELS) {
    assert.ok(text.includes(`"DurationMs","Function","predict","Model","${model}"`), model);
  }
  for (const name of [
    'ApproximateNumberOfMessagesVisible',
    'ApproximateAgeOfOldestMessage',
    'ExecutionsStarted',
    'ExecutionsFailed',
  ]) {
    assert.ok(text.includes(name), name);
  }
});

test('two deployments with different names share no name', () => {
  const names = (stackName: string): string[] => {
    const { Resources } = template({ stackName }).toJSON() as {
      Resources: Record<string, { Properties?: Properties }>;
    };
    const keys = [
      'QueueName',
      'FunctionName',
      'StateMachineName',
      'LogGroupName',
      'AlarmName',
      'DashboardName',
    ];
    return Object.values(Resources).flatMap(({ Properties }) =>
      keys.map((key) => Properties?.[key]).filter((name) => typeof name === 'string'),
    );
  };
  const first = names('Tribunal');
  assert.ok(first.length > 20);
  assert.deepEqual(
    names('Tribunal-Test').filter((name) => first.includes(name)),
    [],
  );
});

test('a zip that was not built is named, with the command that builds it', () => {
  assert.throws(
    () => deployment({ lambdaDir: zips(['dispatch', 'extract', 'ensemble']) }),
    /predict\.zip does not exist: run `make package`/,
  );
});
