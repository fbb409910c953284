/** One page: what comes in, what comes out, how long it takes, what is missing. */

import { Duration } from 'aws-cdk-lib';
import { Dashboard, GraphWidget, IMetric, IWidget } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';

import { functionsOf, WatchedProps } from './alarms';
import { abstentionsOf, duration, entities, PERIOD } from './metrics';

/** The dashboard. */
export class Overview extends Construct {
  constructor(scope: Construct, id: string, props: WatchedProps) {
    super(scope, id);
    const { intake, machine, steps } = props;
    const both = { period: PERIOD, statistic: 'Maximum' };
    const steady = ['dispatch', 'extract', 'ensemble'] as const;
    const models = Object.keys(steps.predict);
    const functions = functionsOf(props);
    const widgets: IWidget[][] = [
      [
        graph('Entities', 'entities', [
          entities('EntitiesReceived', 'received'),
          entities('EntitiesScored', 'scored'),
          entities('EntitiesRequeued', 'queued again'),
        ]),
        graph('Refusals and abstentions', 'entities', [
          entities('EntitiesRefused', 'refused'),
          entities('Abstentions', 'scored without a risk'),
          ...models.map(abstentionsOf),
        ]),
      ],
      [
        graph('Changes of verdicts', 'events', [
          entities('VerdictChanges', 'told'),
          entities('EventFailures', 'not told yet'),
        ]),
      ],
      [
        graph('Time per batch, median', 'ms', [
          ...steady.map((step) => duration(step, 'p50')),
          ...models.map((model) => duration('predict', 'p50', model)),
        ]),
        graph('Time per batch, 99th percentile', 'ms', [
          ...steady.map((step) => duration(step, 'p99')),
          ...models.map((model) => duration('predict', 'p99', model)),
        ]),
      ],
      [
        graph('Queues', 'messages', [
          intake.queue.metricApproximateNumberOfMessagesVisible({ ...both, label: 'waiting' }),
          intake.queue.metricApproximateNumberOfMessagesNotVisible({ ...both, label: 'in work' }),
          intake.dlq.metricApproximateNumberOfMessagesVisible({ ...both, label: 'dead letters' }),
        ]),
        graph('Oldest message', 's', [
          intake.queue.metricApproximateAgeOfOldestMessage({ ...both, label: 'age' }),
        ]),
      ],
      [
        graph('Executions', 'executions', [
          machine.metricStarted({ period: PERIOD, label: 'started' }),
          machine.metricSucceeded({ period: PERIOD, label: 'succeeded' }),
          machine.metricFailed({ period: PERIOD, label: 'failed' }),
          machine.metricTimedOut({ period: PERIOD, label: 'timed out' }),
        ]),
        graph('Failed and throttled invocations', 'invocations', [
          ...functions.map(([name, fn]) => fn.metricErrors({ period: PERIOD, label: `${name} failed` })),
          ...functions.map(([name, fn]) =>
            fn.metricThrottles({ period: PERIOD, label: `${name} throttled` }),
          ),
        ]),
      ],
    ];
    new Dashboard(this, 'Dashboard', {
      dashboardName: props.prefix,
      defaultInterval: Duration.hours(3),
      widgets,
    });
  }
}

/** Half a row. */
function graph(title: string, unit: string, left: IMetric[]): GraphWidget {
  return new GraphWidget({
    title,
    left,
    leftYAxis: { label: unit, min: 0, showUnits: false },
    width: 12,
    height: 6,
  });
}
