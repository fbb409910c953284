/**
 * What is kept: models, data sets and definitions in a bucket; scores, what entities stand at, and the state of the
 * sources, in a table each.
 */

import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, BillingMode, ProjectionType, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb';
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectOwnership } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';

import { accept } from './security-checks';

/** Props of {@link Store}. */
export interface StoreProps {
  /** Whether bucket and scores outlive the stack. */
  readonly retain: boolean;
}

/**
 * Bucket and tables: encrypted, TLS only, nothing public; of models and scores earlier states can be had back.
 *
 * None has a name of its own choosing: they outlive the stack, and a second deployment must not run into them.
 */
export class Store extends Construct {
  /** `models/<name>/`, `ensemble/`, `datasets/` and `sources/`. */
  readonly bucket: Bucket;
  /** Scores: by entity and time of the request; by verdict and day through the index `by_verdict`. */
  readonly table: Table;
  /** What each entity stands at, and changes still to be told: functions/ensemble/src/verdict/table.rs. */
  readonly verdicts: Table;
  /** Quotas of the sources, and answers that all environments share: crates/sources/src/aws/mod.rs. */
  readonly sourceState: Table;

  constructor(scope: Construct, id: string, props: StoreProps) {
    super(scope, id);
    const removalPolicy = props.retain ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
    this.bucket = new Bucket(this, 'Bucket', {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      versioned: true,
      lifecycleRules: [
        {
          id: 'forget-what-was-replaced',
          noncurrentVersionExpiration: Duration.days(90),
          abortIncompleteMultipartUploadAfter: Duration.days(7),
        },
      ],
      removalPolicy,
    });
    accept(
      this.bucket,
      'AwsSolutions-S1',
      'The bucket holds published models and public data sets, no personal data. Its readers are four roles of ' +
        'this stack; a second bucket of access logs would be the larger surface. Who wants the record turns on ' +
        'CloudTrail data events.',
    );
    this.table = new Table(this, 'Scores', {
      partitionKey: { name: 'entity', type: AttributeType.STRING },
      sortKey: { name: 'scored_key', type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      encryption: TableEncryption.AWS_MANAGED,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      timeToLiveAttribute: 'expires_at',
      removalPolicy,
    });
    // Sparse: an item without `verdict_day` (a benign one) is not in the index, and costs nothing there.
    this.table.addGlobalSecondaryIndex({
      indexName: 'by_verdict',
      partitionKey: { name: 'verdict_day', type: AttributeType.STRING },
      sortKey: { name: 'risk', type: AttributeType.NUMBER },
      projectionType: ProjectionType.ALL,
    });
    this.verdicts = new Table(this, 'Verdicts', {
      partitionKey: { name: 'entity', type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      encryption: TableEncryption.AWS_MANAGED,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: false },
      timeToLiveAttribute: 'expires_at',
      removalPolicy,
    });
    accept(
      this.verdicts,
      'AwsSolutions-DDB3',
      'The table says what was told last. An earlier state of it would tell old changes again, and the scores, which ' +
        'can be had back, say the same: it must not be restored.',
    );
    // Never kept: what is in it comes back by itself, a bucket with time and an answer with the next question.
    this.sourceState = new Table(this, 'SourceState', {
      partitionKey: { name: 'key', type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      encryption: TableEncryption.AWS_MANAGED,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: false },
      timeToLiveAttribute: 'expires_at',
      removalPolicy: RemovalPolicy.DESTROY,
    });
    accept(
      this.sourceState,
      'AwsSolutions-DDB3',
      'The table holds quotas and answers with a lifetime of hours. An earlier state of it would give tokens back ' +
        'that are spent, and answers that have expired: it must not be restored.',
    );
  }
}
