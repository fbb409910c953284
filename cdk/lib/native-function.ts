/** A Lambda function that is one native program: a zip with `bootstrap` in it, and a role of its own. */

import { join } from 'node:path';

import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Code, Function, Runtime, Tracing } from 'aws-cdk-lib/aws-lambda';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';

import { checkProgram } from './program';
import { accept } from './security-checks';
import { Settings } from './settings';

/** Props of {@link NativeFunction}. */
export interface NativeFunctionProps {
  /** The deployment's choices. */
  readonly settings: Settings;
  /** Which program: `<program>.zip` in the settings' folder. */
  readonly program: 'dispatch' | 'extract' | 'predict' | 'ensemble';
  /** End of the function's name, where one program is deployed several times. */
  readonly variant?: string;
  /** What it does, for the console. */
  readonly description: string;
  /** Memory, and with it processor. */
  readonly memoryMb: number;
  /** When an invocation is given up. */
  readonly timeout: Duration;
  /** What the program reads from its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** All that it may do, beside writing its log and its traces. */
  readonly permissions: readonly PolicyStatement[];
}

/** One function with its log group and its role. */
export class NativeFunction extends Construct {
  /** The function. */
  readonly function: Function;

  constructor(scope: Construct, id: string, props: NativeFunctionProps) {
    super(scope, id);
    const { settings } = props;
    const suffix = props.variant === undefined ? '' : `-${props.variant}`;
    const functionName = `${settings.prefix}-${props.program}${suffix}`;
    const logGroup = new LogGroup(this, 'Log', {
      logGroupName: `/aws/lambda/${functionName}`,
      retention: settings.logRetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    // Not the managed policy for basic execution: it lets a function write to every log group of the account.
    const role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      description: `What ${functionName} may do`,
    });
    logGroup.grantWrite(role);
    for (const permission of props.permissions) {
      role.addToPolicy(permission);
    }
    this.function = new Function(this, 'Function', {
      functionName,
      description: props.description,
      runtime: Runtime.PROVIDED_AL2023,
      architecture: settings.architecture === 'arm64' ? Architecture.ARM_64 : Architecture.X86_64,
      handler: 'bootstrap',
      code: Code.fromAsset(zipOf(props.program, settings)),
      memorySize: props.memoryMb,
      timeout: props.timeout,
      environment: { ...props.environment },
      role,
      logGroup,
      tracing: Tracing.ACTIVE,
    });
    accept(
      role,
      'AwsSolutions-IAM5[Resource::*]',
      'X-Ray has no resources: its two write actions take only *.',
    );
  }
}

/** The zip of a program, checked. */
function zipOf(program: string, settings: Settings): string {
  const path = join(settings.lambdaDir, `${program}.zip`);
  checkProgram(path, settings.architecture);
  return path;
}
