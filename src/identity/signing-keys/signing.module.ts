import { Module } from '@nestjs/common';
import { ActorKeysController } from './actor-keys.controller.js';
import { ActorKeysService } from './actor-keys.service.js';

@Module({ controllers: [ActorKeysController], providers: [ActorKeysService] })
export class SigningModule {}
