ALTER TYPE "public"."role" ADD VALUE 'guest';
