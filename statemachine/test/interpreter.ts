/**
 * Runs the definition in a second interpreter, with functions of the test in place of the tasks.
 *
 * The interpreter asks for a newer Node than the one that the project is built with, for one function of the
 * language, which stands here. Its pauses between attempts are set to a millisecond.
 */

import type { StateMachine as Interpreter } from 'aws-local-stepfunctions';

import { tasks, type Machine } from 'tribunal-statemachine';

interface Deferred<T> {
  promise: Promise<T>;
  resolve: (value: T | PromiseLike<T>) => void;
  reject: (reason?: unknown) => void;
}

const promises = Promise as PromiseConstructor & { withResolvers?: <T>() => Deferred<T> };
promises.withResolvers ??= <T>(): Deferred<T> => {
  const deferred = {} as Deferred<T>;
  deferred.promise = new Promise<T>((resolve, reject) => Object.assign(deferred, { resolve, reject }));
  return deferred;
};

/** What a task does with its payload; a promise is waited for. */
export type Step = (payload: unknown) => unknown;
/** An execution as it went. */
export interface Run {
  /** Output of the execution, if it succeeded. */
  readonly output?: unknown;
  /** Name of the error, if it failed. */
  readonly error?: string;
  /** Payloads that each task was called with, in the order of the calls. */
  readonly calls: ReadonlyMap<string, readonly unknown[]>;
}

/** Execution name and start, as in the fixtures. */
export const CONTEXT = { Execution: { Name: 'b-0001', StartTime: '2026-11-24T07:50:00.456Z' } };

/** A failure under a name, as a function reports it. */
export function failure(name: string, message = 'as the test wants it'): Error {
  return Object.assign(new Error(message), { name });
}

/** Runs `machine` on `input`; `steps` holds what every task does, by the name of its state. */
export async function run(
  machine: Machine,
  input: unknown,
  steps: Readonly<Record<string, Step>>,
): Promise<Run> {
  const { StateMachine } = await import('aws-local-stepfunctions');
  const calls = new Map<string, unknown[]>();
  const names = tasks(machine).map(([name]) => name);
  const handler = (name: string) => async (parameters: unknown) => {
    const { Payload: payload } = parameters as { Payload: unknown };
    calls.set(name, [...(calls.get(name) ?? []), payload]);
    const step = steps[name];
    if (step === undefined) {
      throw failure('NoSuchStep', `the test gives no step for ${name}`);
    }
    // The shape of what the Lambda integration answers.
    return { ExecutedVersion: '$LATEST', StatusCode: 200, Payload: await step(payload) };
  };
  const interpreter = new StateMachine(
    structuredClone(machine) as unknown as ConstructorParameters<typeof Interpreter>[0],
  );
  const execution = interpreter.run(structuredClone(input) as never, {
    overrides: {
      taskResourceLocalHandlers: Object.fromEntries(names.map((name) => [name, handler(name)])) as never,
      retryIntervalOverrides: Object.fromEntries(names.map((name) => [name, 1])),
    },
    context: CONTEXT as never,
  });
  try {
    return { output: await execution.result, calls };
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    return { error: cause instanceof Error ? cause.name : String(error), calls };
  }
}
