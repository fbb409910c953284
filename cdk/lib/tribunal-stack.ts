/**
 * The whole deployment: queue -> dispatch -> state machine (extract -> predict × N -> ensemble) -> table.
 *
 * The outputs are a contract with the command line, which finds a deployment by the name of its stack.
 */

import { CfnOutput, Stack } from 'aws-cdk-lib';
import { EventBus } from 'aws-cdk-lib/aws-events';
import { Construct } from 'constructs';
import { readEnsemble } from 'tribunal-statemachine';

import { Alarms } from './alarms';
import { Overview } from './dashboard';
import { Dispatch } from './dispatch';
import { Intake } from './intake';
import { Scoring } from './scoring';
import { Settings } from './settings';
import { Steps } from './steps';
import { Store } from './store';

/** Props of {@link TribunalStack}. */
export interface TribunalStackProps {
  /** The deployment's choices. */
  readonly settings: Settings;
}

/** Everything that Tribunal needs in an account. */
export class TribunalStack extends Stack {
  constructor(scope: Construct, id: string, props: TribunalStackProps) {
    super(scope, id, {
      description: 'Tribunal: scores domain names and IP addresses with an ensemble of models',
    });
    const { settings } = props;
    const { models } = readEnsemble(settings.registry);
    const { prefix, retain } = settings;
    const intake = new Intake(this, 'Intake', { prefix });
    const store = new Store(this, 'Store', { retain });
    const bus =
      settings.eventBus === undefined
        ? new EventBus(this, 'Verdicts', {
            eventBusName: `${prefix}-verdicts`,
            description: 'Changes of verdicts',
          })
        : EventBus.fromEventBusName(this, 'Verdicts', settings.eventBus);
    const steps = new Steps(this, 'Steps', { settings, models, store, intake, bus });
    const { machine } = new Scoring(this, 'Scoring', { settings, steps });
    const dispatch = new Dispatch(this, 'Dispatch', { settings, intake, machine }).function;
    const watched = { prefix, intake, machine, steps, dispatch };
    const topic = settings.alarmTopicArn === undefined ? {} : { topicArn: settings.alarmTopicArn };
    new Alarms(this, 'Alarms', { ...watched, ...topic });
    new Overview(this, 'Overview', watched);

    this.output('QueueUrl', intake.queue.queueUrl, 'Queue that entities are sent to');
    this.output('DlqUrl', intake.dlq.queueUrl, 'Queue that refused and failed messages end on');
    this.output('TableName', store.table.tableName, 'Table of scores');
    this.output('VerdictTableName', store.verdicts.tableName, 'Table of what entities stand at');
    this.output('EventBusName', bus.eventBusName, 'Bus that changes of verdicts are told on');
    this.output(
      'SourceTableName',
      store.sourceState.tableName,
      'Table of quotas and shared answers of sources',
    );
    this.output('StateMachineArn', machine.stateMachineArn, 'State machine that scores a batch');
    this.output('BucketName', store.bucket.bucketName, 'Bucket that models and data sets are published to');
    this.output('Models', models.join(','), 'Members of the ensemble, one predictor each');
  }

  private output(name: string, value: string, description: string): void {
    new CfnOutput(this, name, { value, description });
  }
}
