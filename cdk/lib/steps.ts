/** The functions that the state machine calls: extract, one predictor per member of the ensemble, ensemble. */

import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Function } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

import { STEP_TIMEOUT } from './limits';
import { NativeFunction } from './native-function';
import { accept } from './security-checks';
import { Settings } from './settings';
import { Store } from './store';

/** Props of {@link Steps}. */
export interface StepsProps {
  /** The deployment's choices. */
  readonly settings: Settings;
  /** Names of the ensemble's members. */
  readonly models: readonly string[];
  /** Where models and data sets are read from, and scores written to. */
  readonly store: Store;
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
    const { settings, store } = props;
    const registry = { TRIBUNAL_REGISTRY: `s3://${store.bucket.bucketName}` };
    this.extract = this.step('Extract', store, 'datasets', {
      settings,
      program: 'extract',
      description: 'Entities to features',
      // The data set of address ranges is held in memory.
      memoryMb: 512,
      timeout: STEP_TIMEOUT,
      environment: registry,
      permissions: readUnder(store, 'datasets'),
    });
    const predictors = props.models.map((model): [string, Function] => [
      model,
      this.step(`Predict-${model}`, store, `models/${model}`, {
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
    this.ensemble = this.step('Ensemble', store, 'ensemble', {
      settings,
      program: 'ensemble',
      description: 'Probabilities to scores, written to the table',
      memoryMb: 256,
      timeout: STEP_TIMEOUT,
      environment: {
        ...registry,
        TRIBUNAL_TABLE: store.table.tableName,
        TRIBUNAL_SCORE_TTL_DAYS: String(settings.scoreTtlDays),
      },
      permissions: [
        ...readUnder(store, 'ensemble'),
        new PolicyStatement({ actions: ['dynamodb:PutItem'], resources: [store.table.tableArn] }),
      ],
    });
  }

  private step(
    id: string,
    store: Store,
    folder: string,
    props: ConstructorParameters<typeof NativeFunction>[2],
  ): Function {
    const step = new NativeFunction(this, id, props);
    const bucket = this.bucketId(store);
    accept(
      step,
      `AwsSolutions-IAM5[Resource::<${bucket}.Arn>/${folder}/*]`,
      `Published versions are new objects under ${folder}/; the function reads that folder and no other.`,
    );
    return step.function;
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
 * Reading the objects under a folder of the bucket.
 *
 * Listing is there for one reason: without it S3 answers "denied" for an object that does not exist, and nobody
 * could tell a model that was not published from a permission that is missing.
 */
function readUnder(store: Store, folder: string): PolicyStatement[] {
  return [
    new PolicyStatement({
      actions: ['s3:GetObject'],
      resources: [store.bucket.arnForObjects(`${folder}/*`)],
    }),
    // Without it S3 answers "denied" to a request for an object that is not there. It cannot be narrowed to the
    // folder: a request for an object carries no s3:prefix, so that a condition on it would never hold.
    new PolicyStatement({ actions: ['s3:ListBucket'], resources: [store.bucket.bucketArn] }),
  ];
}
