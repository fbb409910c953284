/**
 * The times that have to fit into each other, outermost last:
 *
 * function 9 s < task 10 s; all tasks with all retries 141 s < state machine 150 s < dispatcher 180 s < Express
 * 300 s; visibility 1,080 s = 6 dispatchers, as Lambda asks of a queue that it reads.
 *
 * A function gives up before the state machine does, so that a retry never runs beside the attempt it replaces.
 */

import { Duration } from 'aws-cdk-lib';

/** extract, predict and ensemble. */
export const STEP_TIMEOUT = Duration.seconds(9);
/** dispatch: it waits for its executions. */
export const DISPATCH_TIMEOUT = Duration.seconds(180);
/** How long a message stays hidden from the other readers. */
export const VISIBILITY_TIMEOUT = Duration.seconds(1_080);
/** Deliveries of a message before it goes to the dead-letter queue. */
export const RECEIVES_MAX = 3;
/** How long a message waits on the dead-letter queue for a person: the longest that SQS allows. */
export const DLQ_RETENTION = Duration.days(14);
