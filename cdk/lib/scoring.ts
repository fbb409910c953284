/** The state machine that scores a batch. Its definition is `statemachine/scoring.asl.json`. */

import { RemovalPolicy } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { DefinitionBody, LogLevel, StateMachine, StateMachineType } from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { expand } from 'tribunal-statemachine';

import { accept } from './security-checks';
import { Settings } from './settings';
import { Steps } from './steps';

/** Props of {@link Scoring}. */
export interface ScoringProps {
  /** The deployment's choices. */
  readonly settings: Settings;
  /** The functions that it calls. */
  readonly steps: Steps;
}

/** An Express state machine with its log and its role. */
export class Scoring extends Construct {
  /** The state machine. */
  readonly machine: StateMachine;

  constructor(scope: Construct, id: string, props: ScoringProps) {
    super(scope, id);
    const { settings, steps } = props;
    const stateMachineName = `${settings.prefix}-scoring`;
    const predictors = Object.entries(steps.predict);
    const definition = expand({
      extract: steps.extract.functionArn,
      predict: Object.fromEntries(predictors.map(([model, fn]) => [model, fn.functionArn])),
      ensemble: steps.ensemble.functionArn,
    });
    const role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('states.amazonaws.com'),
      description: `What ${stateMachineName} may do`,
    });
    const functions = [steps.extract, ...predictors.map(([, fn]) => fn), steps.ensemble];
    role.addToPolicy(
      new PolicyStatement({
        actions: ['lambda:InvokeFunction'],
        resources: functions.map((fn) => fn.functionArn),
      }),
    );
    this.machine = new StateMachine(this, 'Machine', {
      stateMachineName,
      stateMachineType: StateMachineType.EXPRESS,
      definitionBody: DefinitionBody.fromString(JSON.stringify(definition)),
      role,
      tracingEnabled: true,
      logs: {
        // Log groups that a service writes to are named like this, so that the account's resource policy of
        // CloudWatch Logs does not outgrow its 5,120 characters.
        destination: new LogGroup(this, 'Log', {
          logGroupName: `/aws/vendedlogs/states/${stateMachineName}`,
          retention: settings.logRetentionDays,
          removalPolicy: RemovalPolicy.DESTROY,
        }),
        level: LogLevel.ERROR,
        includeExecutionData: false,
      },
    });
    accept(
      role,
      'AwsSolutions-IAM5[Resource::*]',
      'The actions of X-Ray and of log delivery have no resources: they take only *.',
    );
    accept(
      this.machine,
      'AwsSolutions-SF1',
      'Failures are logged, each with its state and error. Every event of every execution would cost several ' +
        'times what the execution costs, and the functions log each batch already.',
    );
  }
}
