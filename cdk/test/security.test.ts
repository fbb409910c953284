/** Security: the rule pack, and each permission of each role by name. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

import { deployment, findings, MODELS, template, temporary } from './deployment';

interface Statement {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource: unknown;
  readonly Condition?: unknown;
}

const list = <T>(value: T | T[]): T[] => (Array.isArray(value) ? value : [value]);

/** A resource in short: what it is in the stack, and what follows its ARN. */
function short(resource: unknown): string {
  if (typeof resource === 'string') {
    return resource;
  }
  const { 'Fn::GetAtt': att, 'Fn::Join': join, Ref: ref } = resource as Record<string, unknown>;
  if (Array.isArray(join)) {
    return (join[1] as unknown[]).map(short).join('');
  }
  const id = Array.isArray(att) ? String(att[0]) : String(ref);
  return id.replace(/[0-9A-F]{8}$/, '');
}

/** Every statement of a role's policy, as `action on resource [condition]`, sorted. */
function permissions(role: string, context: Readonly<Record<string, string>> = {}): string[] {
  const policies = Object.entries(template(context).findResources('AWS::IAM::Policy'));
  const found = policies.filter(([id]) => id.startsWith(`${role}RoleDefaultPolicy`));
  assert.equal(found.length, 1, `${role} has ${found.length} policies`);
  const statements = found[0]?.[1].Properties.PolicyDocument.Statement as Statement[];
  return statements
    .flatMap(({ Effect, Action, Resource, Condition }) => {
      assert.equal(Effect, 'Allow');
      const when = Condition === undefined ? '' : ` ${JSON.stringify(Condition)}`;
      return list(Action).flatMap((action) =>
        list(Resource).map((resource) => `${action} on ${short(resource)}${when}`),
      );
    })
    .sort();
}

/** Its own log and its traces: what every function may do. */
function always(log: string): string[] {
  return [
    `logs:CreateLogStream on ${log}`,
    `logs:PutLogEvents on ${log}`,
    'xray:PutTelemetryRecords on *',
    'xray:PutTraceSegments on *',
  ];
}

/** Reading folders of the bucket. */
function reading(...folders: string[]): string[] {
  return [
    ...folders.map((folder) => `s3:GetObject on StoreBucket/${folder}/*`),
    's3:ListBucket on StoreBucket',
  ];
}

/** What extract may do without a declaration of sources. */
const EXTRACT = [
  ...always('StepsExtractLog'),
  ...reading('datasets', 'sources'),
  ...['GetItem', 'UpdateItem', 'BatchGetItem', 'BatchWriteItem'].map(
    (action) => `dynamodb:${action} on StoreSourceState`,
  ),
];

/** A `sources.toml` with this content. */
function declaration(content: string): string {
  const path = join(temporary(), 'sources.toml');
  writeFileSync(path, content);
  return path;
}

test('no finding of the rule pack is open', () => {
  assert.deepEqual(findings(deployment().app), []);
});

test('no finding is open for another ensemble, architecture and name', () => {
  assert.deepEqual(
    findings(deployment({ architecture: 'arm64', stackName: 'Other', retain: 'false' }).app),
    [],
  );
});

test('the rule pack is at work: what breaks a rule is found', () => {
  const { app, stack } = deployment();
  new Queue(stack, 'Open');
  const role = new Role(stack, 'Wide', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
  role.addToPolicy(new PolicyStatement({ actions: ['s3:*'], resources: ['*'] }));
  assert.deepEqual(findings(app), [
    'AwsSolutions-SQS3',
    'AwsSolutions-SQS4',
    'AwsSolutions-IAM5[Action::s3:*]',
    'AwsSolutions-IAM5[Resource::*]',
  ]);
});

test('these findings are accepted, each with a reason, and no other', () => {
  const { stack } = deployment();
  const accepted = stack.node.findAll().flatMap((construct: IConstruct) =>
    construct.node.metadata
      .filter(({ type }) => type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY)
      .flatMap(({ data }) => Object.entries(data as Record<string, string>))
      .map(([id, reason]) => {
        assert.ok(reason.length > 40, `${id} on ${construct.node.path} has no reason to speak of`);
        return `${construct.node.path.replace('Tribunal/', '')}: ${id.replace(/^Annotation::/, '').replace(/<\w+\.Arn>/, '<bucket>')}`;
      }),
  );
  const reads = (path: string, folder: string): string =>
    `${path}: AwsSolutions-IAM5[Resource::<bucket>/${folder}/*]`;
  const traces = (path: string): string => `${path}/Role: AwsSolutions-IAM5[Resource::*]`;
  const expected = [
    'Store/Bucket: AwsSolutions-S1',
    'Scoring/Machine: AwsSolutions-SF1',
    traces('Scoring'),
    traces('Dispatch/Function'),
    ...['Extract', ...MODELS.map((model) => `Predict-${model}`), 'Ensemble'].map((step) =>
      traces(`Steps/${step}`),
    ),
    'Store/SourceState: AwsSolutions-DDB3',
    'Store/Verdicts: AwsSolutions-DDB3',
    reads('Steps/Extract', 'datasets'),
    reads('Steps/Extract', 'sources'),
    ...MODELS.map((model) => reads(`Steps/Predict-${model}`, `models/${model}`)),
    reads('Steps/Ensemble', 'ensemble'),
  ];
  assert.deepEqual(accepted.sort(), expected.sort());
});

test('dispatch reads the queue, writes the dead-letter queue and starts the one state machine', () => {
  assert.deepEqual(
    permissions('DispatchFunction'),
    [
      ...always('DispatchFunctionLog'),
      'sqs:DeleteMessage on IntakeQueue',
      'sqs:GetQueueAttributes on IntakeQueue',
      'sqs:ReceiveMessage on IntakeQueue',
      'sqs:SendMessage on IntakeDlq',
      'states:StartSyncExecution on ScoringMachine',
    ].sort(),
  );
});

test('extract reads data sets and the declaration of sources, keeps their state, and reads no secret', () => {
  assert.deepEqual(permissions('StepsExtract'), [...EXTRACT].sort());
});

test('extract reads the secrets that a declaration names, and nothing else of the kind', () => {
  const sources = declaration(`
    [sources.mine.mysql]
    connection = { secret = "tribunal/mysql", field = "url" }
    query = "SELECT 1"
    [sources.theirs.http]
    url = "https://feed.example/{entity}"
    [sources.theirs.http.headers]
    Accept = "application/json"
    Authorization = { secret = "tribunal/feed", prefix = "Bearer " }
    X-Key = { secret = "tribunal/mysql" }
    [sources.docs.mongodb]
    connection = { secret = "tribunal/mongodb" }
    filter = { secret = "not-one", name = { "$in" = ":entities" } }
    [sources.open.mongodb]
    connection = { url = "mongodb://db.internal/" }
  `);
  const secret = (name: string): string =>
    'secretsmanager:GetSecretValue on ' +
    `arn:AWS::Partition:secretsmanager:AWS::Region:AWS::AccountId:secret:${name}-??????`;
  const secrets = ['tribunal/feed', 'tribunal/mongodb', 'tribunal/mysql'].map(secret);
  assert.deepEqual(permissions('StepsExtract', { sources }), [...EXTRACT, ...secrets].sort());
  assert.deepEqual(findings(deployment({ sources }).app), []);
});

test('a declaration without secrets grants none', () => {
  for (const content of ['', '[sources.a.dns]\n', 'sources = 1\n']) {
    assert.deepEqual(permissions('StepsExtract', { sources: declaration(content) }), [...EXTRACT].sort());
  }
});

for (const [name, content, message] of [
  ['a wildcard', 'secret = "tribunal/*"', /sources\.a\.mysql\.connection\.secret is "tribunal\/\*"/],
  ['a question mark', 'secret = "tribunal/?"', /secret is "tribunal\/\?", expected the name of a secret/],
  ['an ARN', 'secret = "arn:aws:secretsmanager:x:1:secret:a"', /secret is "arn:aws:secretsmanager/],
  ['nothing', 'secret = ""', /secret is ""/],
  ['a number', 'secret = 7', /secret is 7/],
  ['no TOML', 'secret = = 7', /sources\.toml: cannot be read as TOML/],
] as const) {
  test(`a secret that is ${name} is refused before anything is deployed`, () => {
    const sources = declaration(`[sources.a.mysql.connection]\n${content}\n`);
    assert.throws(() => deployment({ sources }), message);
  });
}

test('a declaration that is not there is named', () => {
  assert.throws(() => deployment({ sources: '/nowhere/sources.toml' }), /^Error: \/nowhere\/sources\.toml: /);
});

for (const model of MODELS) {
  test(`the predictor of ${model} reads its own model and no other`, () => {
    const id = `StepsPredict${model}`;
    assert.deepEqual(permissions(id), [...always(`${id}Log`), ...reading(`models/${model}`)].sort());
  });
}

test('ensemble reads the ensemble definition, writes scores and verdicts, and tells queue and bus', () => {
  const expected = [
    ...always('StepsEnsembleLog'),
    ...reading('ensemble'),
    'dynamodb:PutItem on StoreScores',
    'dynamodb:UpdateItem on StoreVerdicts',
    'events:PutEvents on Verdicts',
    'sqs:SendMessage on IntakeQueue',
  ];
  assert.deepEqual(permissions('StepsEnsemble'), expected.sort());
});

test('the state machine invokes its functions and nothing else', () => {
  const expected = [
    'StepsExtractFunction',
    ...MODELS.map((model) => `StepsPredict${model}Function`),
    'StepsEnsembleFunction',
  ];
  const granted = permissions('Scoring');
  assert.deepEqual(
    granted.filter((permission) => permission.startsWith('lambda:')),
    expected.map((fn) => `lambda:InvokeFunction on ${fn}`).sort(),
  );
  const rest = granted.filter((permission) => !permission.startsWith('lambda:'));
  assert.ok(
    rest.length > 0 && rest.every((permission) => /^(logs|xray):\w+ on \*$/.test(permission)),
    rest.join('\n'),
  );
});

test('there is one role per function and one for the state machine, and none has a managed policy', () => {
  const roles = Object.values(template().findResources('AWS::IAM::Role'));
  assert.equal(roles.length, MODELS.length + 4);
  for (const { Properties } of roles) {
    assert.equal(Properties.ManagedPolicyArns, undefined);
    assert.equal(Properties.Policies, undefined);
  }
});

test('queues and bucket refuse what does not come over TLS', () => {
  for (const type of ['AWS::SQS::QueuePolicy', 'AWS::S3::BucketPolicy']) {
    const policies = Object.values(template().findResources(type));
    assert.equal(policies.length, type === 'AWS::SQS::QueuePolicy' ? 2 : 1);
    for (const { Properties } of policies) {
      const statements = Properties.PolicyDocument.Statement as Statement[];
      const denied = statements
        .filter(({ Effect }) => Effect === 'Deny')
        .map(({ Condition }) => JSON.stringify(Condition));
      assert.ok(denied.includes('{"Bool":{"aws:SecureTransport":"false"}}'), denied.join());
    }
  }
});

test('nothing is stored in the clear, and the bucket is closed to the public', () => {
  const stack = template();
  stack.allResourcesProperties('AWS::SQS::Queue', { SqsManagedSseEnabled: true });
  stack.hasResourceProperties('AWS::DynamoDB::Table', { SSESpecification: { SSEEnabled: true } });
  stack.hasResourceProperties('AWS::S3::Bucket', {
    BucketEncryption: {
      ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
    },
    OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
    PublicAccessBlockConfiguration: {
      BlockPublicAcls: true,
      BlockPublicPolicy: true,
      IgnorePublicAcls: true,
      RestrictPublicBuckets: true,
    },
    VersioningConfiguration: { Status: 'Enabled' },
  });
});
