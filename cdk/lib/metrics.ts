/**
 * The metrics that the functions write (CloudWatch's embedded format, namespace `Tribunal`), by the names and
 * dimensions that they use:
 *
 * | metric           | dimensions                                    |
 * |------------------|-----------------------------------------------|
 * | EntitiesReceived | Function=dispatch                             |
 * | EntitiesRefused  | Function=dispatch                             |
 * | EntitiesScored   | Function=ensemble                             |
 * | EntitiesRequeued | Function=ensemble: over a quota, queued again |
 * | Abstentions      | Function=ensemble: scores without a risk      |
 * | VerdictChanges   | Function=ensemble: changes that were told     |
 * | EventFailures    | Function=ensemble: changes that were not      |
 * | Abstentions      | Function=predict, Model: no probability given |
 * | DurationMs       | Function; for predict also Model              |
 */

import { Duration } from 'aws-cdk-lib';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';

/** Namespace of all of them. */
export const NAMESPACE = 'Tribunal';
/** How finely they are read. */
export const PERIOD = Duration.minutes(5);

/** Steps that report how long they take. */
export type StepName = 'dispatch' | 'extract' | 'predict' | 'ensemble';
/** Counts of entities. */
export type CountName =
  | 'EntitiesReceived'
  | 'EntitiesRefused'
  | 'EntitiesScored'
  | 'EntitiesRequeued'
  | 'Abstentions'
  | 'VerdictChanges'
  | 'EventFailures';

const COUNTED_BY: Readonly<Record<CountName, StepName>> = {
  EntitiesReceived: 'dispatch',
  EntitiesRefused: 'dispatch',
  EntitiesScored: 'ensemble',
  EntitiesRequeued: 'ensemble',
  Abstentions: 'ensemble',
  VerdictChanges: 'ensemble',
  EventFailures: 'ensemble',
};

/** A count of entities, summed over the period; the label is for graphs, an alarm on one metric has none. */
export function entities(metricName: CountName, label?: string): Metric {
  return new Metric({
    namespace: NAMESPACE,
    metricName,
    dimensionsMap: { Function: COUNTED_BY[metricName] },
    statistic: 'Sum',
    period: PERIOD,
    ...(label === undefined ? {} : { label }),
  });
}

/** How often a model gave no probability for an entity. */
export function abstentionsOf(model: string): Metric {
  return new Metric({
    namespace: NAMESPACE,
    metricName: 'Abstentions',
    dimensionsMap: { Function: 'predict', Model: model },
    statistic: 'Sum',
    period: PERIOD,
    label: `${model} abstained`,
  });
}

/** How long a step takes for a batch, in milliseconds. */
export function duration(step: StepName, statistic: string, model?: string): Metric {
  return new Metric({
    namespace: NAMESPACE,
    metricName: 'DurationMs',
    dimensionsMap: { Function: step, ...(model === undefined ? {} : { Model: model }) },
    label: [step, model, statistic].filter((part) => part !== undefined).join(' '),
    statistic,
    period: PERIOD,
  });
}
