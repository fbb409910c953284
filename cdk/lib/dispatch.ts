/** From the queue to the state machine. */

import { Duration } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { EventSourceMapping, Function } from 'aws-cdk-lib/aws-lambda';
import { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';

import { Intake } from './intake';
import { DISPATCH_TIMEOUT } from './limits';
import { NativeFunction } from './native-function';
import { Settings } from './settings';

/** Props of {@link Dispatch}. */
export interface DispatchProps {
  /** The deployment's choices. */
  readonly settings: Settings;
  /** Where messages come from, and where refused ones go. */
  readonly intake: Intake;
  /** What it starts. */
  readonly machine: StateMachine;
}

/** The dispatcher, and the mapping that feeds it. */
export class Dispatch extends Construct {
  /** The function. */
  readonly function: Function;

  constructor(scope: Construct, id: string, props: DispatchProps) {
    super(scope, id);
    const { settings, intake, machine } = props;
    this.function = new NativeFunction(this, 'Function', {
      settings,
      program: 'dispatch',
      description: 'Queue messages to executions of the state machine',
      memoryMb: 256,
      timeout: DISPATCH_TIMEOUT,
      environment: {
        TRIBUNAL_STATE_MACHINE_ARN: machine.stateMachineArn,
        TRIBUNAL_DLQ_URL: intake.dlq.queueUrl,
      },
      permissions: [
        new PolicyStatement({
          actions: ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'],
          resources: [intake.queue.queueArn],
        }),
        new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [intake.dlq.queueArn] }),
        new PolicyStatement({ actions: ['states:StartSyncExecution'], resources: [machine.stateMachineArn] }),
      ],
    }).function;
    new EventSourceMapping(this, 'Mapping', {
      target: this.function,
      eventSourceArn: intake.queue.queueArn,
      batchSize: settings.batchSize,
      maxBatchingWindow: Duration.seconds(settings.batchWindowSeconds),
      maxConcurrency: settings.maxConcurrency,
      reportBatchItemFailures: true,
    });
  }
}
