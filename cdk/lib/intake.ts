/** The queue that entities come in by, and the one that refused and failed messages end on. */

import { RemovalPolicy } from 'aws-cdk-lib';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

import { DLQ_RETENTION, RECEIVES_MAX, VISIBILITY_TIMEOUT } from './limits';

/** Props of {@link Intake}. */
export interface IntakeProps {
  /** Start of the queues' names. */
  readonly prefix: string;
}

/** Both queues: encrypted, TLS only. */
export class Intake extends Construct {
  /** Where entities are sent to. */
  readonly queue: Queue;
  /** Where messages end that are no entities, or that failed three times. */
  readonly dlq: Queue;

  constructor(scope: Construct, id: string, props: IntakeProps) {
    super(scope, id);
    const common = {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      removalPolicy: RemovalPolicy.DESTROY,
      // The largest that SQS takes: what is too large for us is refused by name, and not by the sender's client.
      maxMessageSizeBytes: 1_048_576,
    };
    this.dlq = new Queue(this, 'Dlq', {
      ...common,
      queueName: `${props.prefix}-entities-dlq`,
      retentionPeriod: DLQ_RETENTION,
    });
    this.queue = new Queue(this, 'Queue', {
      ...common,
      queueName: `${props.prefix}-entities`,
      visibilityTimeout: VISIBILITY_TIMEOUT,
      deadLetterQueue: { queue: this.dlq, maxReceiveCount: RECEIVES_MAX },
    });
  }
}
