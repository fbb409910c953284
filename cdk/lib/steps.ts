/** The functions that the state machine calls: extract, one predictor per member of the ensemble, ensemble. */

import { ArnFormat, Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { IEventBus } from 'aws-cdk-lib/aws-events';
import { Function } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

import { Intake } from './intake';
import { STEP_TIMEOUT } from './limits';
import { NativeFunction } from './native-function';
import { accept } from './security-checks';
import { Settings } from './settings';
import { readSecrets } from './sources';
import { Store } from './store';

/** Props of {@link Steps}. */
export interface StepsProps {
  /** The deployment's choices. */
  readonly settings: Settings;
  /** Names of the ensemble's members. */
  readonly models: readonly string[];
  /** Where models and data sets are read from, and scores written to. */
  readonly store: Store;
  /** The queue that entities are put on again when a source's quota left them out. */
  readonly intake: Intake;
  /** The bus that changes of verdicts are told on. */
  readonly bus: Pick<IEventBus, 'eventBusName' | 'eventBusArn'>;
}

/** All steps, each with exactly what it needs. */
export class Steps extends Construct {
  /** Entities to features. */
  readonly extract: Function;
  /** Features to probabilities, by the name of the model. */
  readonly predict: Readonly<Record<string, Function>>;
  /** Probabilities to scores. */
  readonly ensemble: Function;

  constructor(scope: Construct, id: string, props: StepsProps) {
    super(scope, id);
    const { settings, store, intake, bus } = props;
    const registry = { TRIBUNAL_REGISTRY: `s3://${store.bucket.bucketName}` };
    this.extract = this.step('Extract', store, ['datasets', 'sources'], {
      settings,
      program: 'extract',
      description: 'Entities to features',
      // The data sets are held in memory.
      memoryMb: settings.extractMemoryMb,
      timeout: STEP_TIMEOUT,
      environment: { ...registry, TRIBUNAL_SOURCE_TABLE: store.sourceState.tableName },
      permissions: [
        ...readUnder(store, 'datasets', 'sources'),
        new PolicyStatement({
          actions: [
            'dynamodb:GetItem',
            'dynamodb:UpdateItem',
            'dynamodb:BatchGetItem',
            'dynamodb:BatchWriteItem',
          ],
          resources: [store.sourceState.tableArn],
        }),
        ...this.readSecretsOf(settings),
      ],
    });
    const predictors = props.models.map((model): [string, Function] => [
      model,
      this.step(`Predict-${model}`, store, [`models/${model}`], {
        settings,
        program: 'predict',
        variant: model,
        description: `Features to probabilities by the model ${model}`,
        memoryMb: 512,
        timeout: STEP_TIMEOUT,
        environment: { ...registry, TRIBUNAL_MODEL: model },
        permissions: readUnder(store, `models/${model}`),
      }),
    ]);
    this.predict = Object.fromEntries(predictors);
    this.ensemble = this.step('Ensemble', store, ['ensemble'], {
      settings,
      program: 'ensemble',
      description: 'Probabilities to scores, written to the table',
      memoryMb: 256,
      timeout: STEP_TIMEOUT,
      environment: {
        ...registry,
        TRIBUNAL_TABLE: store.table.tableName,
        TRIBUNAL_SCORE_TTL_DAYS: String(settings.scoreTtlDays),
        TRIBUNAL_QUEUE_URL: intake.queue.queueUrl,
        TRIBUNAL_VERDICT_TABLE: store.verdicts.tableName,
        TRIBUNAL_EVENT_BUS: bus.eventBusName,
      },
      permissions: [
        ...readUnder(store, 'ensemble'),
        new PolicyStatement({ actions: ['dynamodb:PutItem'], resources: [store.table.tableArn] }),
        new PolicyStatement({ actions: ['dynamodb:UpdateItem'], resources: [store.verdicts.tableArn] }),
        new PolicyStatement({ actions: ['events:PutEvents'], resources: [bus.eventBusArn] }),
        new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [intake.queue.queueArn] }),
      ],
    });
  }

  private step(
    id: string,
    store: Store,
    folders: readonly string[],
    props: ConstructorParameters<typeof NativeFunction>[2],
  ): Function {
    const step = new NativeFunction(this, id, props);
    const bucket = this.bucketId(store);
    for (const folder of folders) {
      accept(
        step,
        `AwsSolutions-IAM5[Resource::<${bucket}.Arn>/${folder}/*]`,
        `Published versions are new objects under ${folder}/; the function reads ${folders.join('/ and ')}/ and no other.`,
      );
    }
    return step.function;
  }

  /** Reading the secrets that the declaration names: each by its name, whatever six characters AWS has put behind it. */
  private readSecretsOf(settings: Settings): PolicyStatement[] {
    const names = settings.sources === undefined ? [] : readSecrets(settings.sources);
    const resources = names.map((name) =>
      Stack.of(this).formatArn({
        service: 'secretsmanager',
        resource: 'secret',
        resourceName: `${name}-??????`,
        arnFormat: ArnFormat.COLON_RESOURCE_NAME,
      }),
    );
    // A statement without a resource is none.
    return resources.length === 0
      ? []
      : [new PolicyStatement({ actions: ['secretsmanager:GetSecretValue'], resources })];
  }

  private bucketId(store: Store): string {
    const resource = store.bucket.node.defaultChild;
    if (resource === undefined || !('logicalId' in resource)) {
      throw new Error('the bucket has no resource');
    }
    return store.bucket.stack.resolve(resource.logicalId) as string;
  }
}

/**
 * Reading the objects under folders of the bucket.
 *
 * Listing is there for one reason: without it S3 answers "denied" for an object that does not exist, and nobody
 * could tell a model that was not published from a permission that is missing.
 */
function readUnder(store: Store, ...folders: string[]): PolicyStatement[] {
  return [
    new PolicyStatement({
      actions: ['s3:GetObject'],
      resources: folders.map((folder) => store.bucket.arnForObjects(`${folder}/*`)),
    }),
    // Without it S3 answers "denied" to a request for an object that is not there. It cannot be narrowed to the
    // folder: a request for an object carries no s3:prefix, so that a condition on it would never hold.
    new PolicyStatement({ actions: ['s3:ListBucket'], resources: [store.bucket.bucketArn] }),
  ];
}
