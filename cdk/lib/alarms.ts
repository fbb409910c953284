/** What a person has to be told: each alarm says what is wrong, and where to look. */

import { Alarm, ComparisonOperator, IMetric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { Function } from 'aws-cdk-lib/aws-lambda';
import { ITopic, Topic } from 'aws-cdk-lib/aws-sns';
import { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';

import { Intake } from './intake';
import { VISIBILITY_TIMEOUT } from './limits';
import { entities, PERIOD } from './metrics';
import { Steps } from './steps';

/** Props of {@link Alarms} and of the dashboard: what is watched. */
export interface WatchedProps {
  /** Start of the names. */
  readonly prefix: string;
  /** The queues. */
  readonly intake: Intake;
  /** The state machine. */
  readonly machine: StateMachine;
  /** The functions that the state machine calls. */
  readonly steps: Steps;
  /** The dispatcher. */
  readonly dispatch: Function;
}

/** Props of {@link Alarms}. */
export interface AlarmsProps extends WatchedProps {
  /** Where alarms are sent to. */
  readonly topicArn?: string;
}

/** Every function by its name in the stack. */
export function functionsOf(watched: WatchedProps): [string, Function][] {
  const predictors = Object.entries(watched.steps.predict).map(([model, fn]): [string, Function] => [
    `predict-${model}`,
    fn,
  ]);
  return [
    ['dispatch', watched.dispatch],
    ['extract', watched.steps.extract],
    ...predictors,
    ['ensemble', watched.steps.ensemble],
  ];
}

/** All alarms. */
export class Alarms extends Construct {
  private readonly prefix: string;
  private readonly topic: ITopic | undefined;

  constructor(scope: Construct, id: string, props: AlarmsProps) {
    super(scope, id);
    this.prefix = props.prefix;
    this.topic = props.topicArn === undefined ? undefined : Topic.fromTopicArn(this, 'Topic', props.topicArn);
    const { intake, machine } = props;
    this.above(
      'dlq-not-empty',
      0,
      1,
      'Refused or failed messages wait: `tribunal dlq` says why.',
      intake.dlq.metricApproximateNumberOfMessagesVisible({ period: PERIOD, statistic: 'Maximum' }),
    );
    this.above(
      'queue-age',
      VISIBILITY_TIMEOUT.toSeconds(),
      2,
      'Messages wait longer than one failed delivery takes.',
      intake.queue.metricApproximateAgeOfOldestMessage({ period: PERIOD, statistic: 'Maximum' }),
    );
    this.above(
      'executions-failed',
      0,
      1,
      'Batches failed; the log of the state machine has state and error.',
      machine.metricFailed({ period: PERIOD }),
    );
    this.above(
      'executions-timed-out',
      0,
      1,
      'Batches took longer than the state machine allows.',
      machine.metricTimedOut({ period: PERIOD }),
    );
    for (const [name, fn] of functionsOf(props)) {
      this.above(
        `${name}-errors`,
        0,
        1,
        `Invocations failed; the log group of ${name} has the chain of causes.`,
        fn.metricErrors({ period: PERIOD }),
      );
      this.above(
        `${name}-throttles`,
        0,
        2,
        `Invocations of ${name} were throttled: the account's concurrency is used up.`,
        fn.metricThrottles({ period: PERIOD }),
      );
    }
    // A plain count: a score without a risk means that fewer models answered than the quorum asks, which a sound
    // deployment never has for long.
    this.above(
      'abstentions',
      0,
      2,
      'Scores without a risk: too few models answered; see which predictors fail.',
      entities('Abstentions'),
    );
    this.above(
      'events-failed',
      0,
      1,
      'Changes of verdicts were not told: the log of ensemble says why. The next score of the entity tells them.',
      entities('EventFailures'),
    );
  }

  /** An alarm for when a metric is above a threshold for a number of periods. */
  private above(
    name: string,
    threshold: number,
    periods: number,
    description: string,
    metric: IMetric,
  ): void {
    const alarm = new Alarm(this, name, {
      alarmName: `${this.prefix}-${name}`,
      alarmDescription: description,
      metric,
      threshold,
      evaluationPeriods: periods,
      comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
      // No traffic is no news.
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    if (this.topic !== undefined) {
      alarm.addAlarmAction(new SnsAction(this.topic));
      alarm.addOkAction(new SnsAction(this.topic));
    }
  }
}
